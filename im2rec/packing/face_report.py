"""What the summary of a pack says of a face-recognition set."""

from __future__ import annotations

import dataclasses

from im2rec.schema import described


@dataclasses.dataclass
class FaceSummary:
    """What :func:`im2rec.packing.face_pack.pack_faces` says of a face-recognition set, as ``--json`` prints it."""

    list_form: str = described("Form of the list: im2rec, or face2rec2.")
    reordered: bool = described("Whether the lines were brought into the order of their classes.")
    identities: int = described("Identities that have images, or would have some.")
    identities_left_out: int = described("Identities of the list that have none, as all their images were left out.")
    images_least: int | None = described("Images of the identity that has the fewest.")
    images_median: float | None = described("Median of the images of an identity.")
    images_most: int | None = described("Images of the identity that has the most.")
    has_header: bool = described("Whether the set has a header record and identity records.")
    height: int | None = described("Height of the first image in pixels; null in a dry run.")
    width: int | None = described("Width of the first image in pixels; null in a dry run.")
    other_sizes: int = described("Images of another size than the first.")
