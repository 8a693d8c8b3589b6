"""The result of a selection, with its counts and warnings."""

from __future__ import annotations

import dataclasses

from im2rec.schema import BYTES_OUT, DRY_RUN, FILES, INPUT, RECORDS, SECONDS, WARNINGS, described
from im2rec.selection.decoding import Failure
from im2rec.storage.damaged_range import DAMAGE, DAMAGED_BYTES, DAMAGED_RANGES, DOUBTFUL, LOST, DamagedRange


@dataclasses.dataclass
class SelectSummary:
    """The result of :func:`~im2rec.rewriting.select.select`, as ``--json`` prints it."""

    input: str = described(INPUT)
    out: str = described("The `.rec` that is written.")
    records: int = described(RECORDS)
    all_images: int = described("Images in the input, selected or not.")
    images: int = described("Images that were selected, or would be.")
    all_classes: int = described("Classes of the images in the input.")
    classes: int = described("Classes of the selected images.")
    header: bool = described("Whether the output has a header record and identity records, one for each class.")
    had_header: bool = described("Whether the input has a header record or identity records.")
    is_sorted: bool = described("Whether the images were ordered by class, as those of a class were not together.")
    relabelled: bool = described("Whether the classes have other labels in the output.")
    new_keys: bool = described("Whether images have other keys in the output.")
    not_selected: dict[str, int] = described("Images that were not selected, by the first filter that they failed.")
    left_out: dict[str, int] = described("Selected records without an image, which were left out, by reason.")
    problem_records: dict[str, int] = described("Selected records that are not valid and were left out, by problem.")
    range_records: int = described("Header and identity records of the input, which are not copied.")
    missing_keys: int = described("Keys of `--list` and `--drop` that no image has.")
    bytes_out: int = described(BYTES_OUT)
    seconds: float = described(SECONDS, 0.0)
    files: list[str] = described(FILES, factory=list)
    warnings: list[str] = described(WARNINGS, factory=list)
    dry_run: bool = described(DRY_RUN, False)
    damage: list[DamagedRange] = described(DAMAGE, factory=list)
    damaged_ranges: int = described(DAMAGED_RANGES, 0)
    damaged_bytes: int = described(DAMAGED_BYTES, 0)
    lost: int | None = described(LOST, None)
    doubtful: int = described(DOUBTFUL, 0)
    not_decoded: dict[str, int] | None = described(
        "Images that `--decodable` left out, by reason; null without it.", None
    )
    failures: list[Failure] = described("Records whose image `--decodable` could not decode.", factory=list)
