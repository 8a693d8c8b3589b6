"""What is asked of a merge, and its result."""

from __future__ import annotations

import dataclasses

from im2rec.errors import ParameterError
from im2rec.rewriting.same_images import MAX_LISTED, SameImage
from im2rec.rewriting.sources import MergedSet
from im2rec.schema import BYTES_OUT, DRY_RUN, FILES, SECONDS, WARNINGS, described
from im2rec.storage.files import PathLike


@dataclasses.dataclass(frozen=True)
class MergeOptions:
    """Options of a merge.

    The labels of each set come behind those of the sets before it; with *same_labels* they stay as they are; *classes*
    is the path of a ``.classes.txt``, by which classes of one name get one label. *header* writes a header record and
    identity records, or none; None writes them if one of the sets has them. *find_same* looks for images that are there
    twice, and *drop_same* leaves out all but the first of them. Raises ParameterError.
    """

    classes: PathLike | None = None
    same_labels: bool = False
    header: bool | None = None
    find_same: bool = True
    drop_same: bool = False

    def __post_init__(self) -> None:
        if self.classes is not None and self.same_labels:
            raise ParameterError("--classes and --same-labels contradict each other", hint="leave one of them out")
        if self.drop_same and not self.find_same:
            raise ParameterError("--drop-same and --no-same contradict each other", hint="leave one of them out")


@dataclasses.dataclass
class MergeSummary:
    """The result of :func:`merge`, as ``--json`` prints it."""

    sets: list[MergedSet] = described("The sets, in their order.")
    out: str = described("The `.rec` that is written.")
    images: int = described("Images in the merged set.")
    classes: int = described("Classes with images in it.")
    identities: int = described("Identity records in it; 0 without a header record.")
    header: bool = described("Whether it has a header record.")
    is_sorted: bool = described("Whether the images were ordered by class, as those of a class were not together.")
    same: int | None = described("Images that repeat an earlier one; null if none were looked for.")
    same_other_class: int = described("Those of them that are in another class than the first one.")
    same_within: int = described("Those of them that are in the same input as the first one.")
    dropped: int = described("Images that were left out, as they repeat an earlier one.")
    same_images: list[SameImage] = described(f"The first {MAX_LISTED:,} images that repeat an earlier one.")
    bytes_out: int = described(BYTES_OUT)
    seconds: float = described(SECONDS, 0.0)
    files: list[str] = described(FILES, factory=list)
    warnings: list[str] = described(WARNINGS, factory=list)
    dry_run: bool = described(DRY_RUN, False)
