"""The KEY=VALUE parameters of ``im2rec pack``: the eleven of MXNet's tool, and ours."""

from __future__ import annotations

import dataclasses

from im2rec.errors import ParameterError
from im2rec.format.listfile import MAX_LABELS
from im2rec.images.choices import ENCODINGS, ENGINES, INTERPOLATIONS, MAX_PIXELS
from im2rec.params import changed, check, param

KEPT_WITH_UNCHANGED = ("max_pixels", "unchanged", "label_width", "pack_label", "nsplit", "part")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackParams:
    """Parameters of packing: size, crop and encoding of the images, the labels to store, the part of the list.

    Raises ParameterError for a value out of range and for parameters that exclude each other.
    """

    resize: int = param(-1, doc="Length of the shorter edge in pixels; 0 and -1 keep the size.", low=-1, high=65535)
    max_side: int = param(-1, doc="Cap the longer edge at this many pixels; excludes resize.", low=-1, reference="ours")
    center_crop: bool = param(
        False,
        doc="Crop the centred square first.",
        reference="as im2rec.py: works with and without resize (the C++ tool: only with)",
    )
    quality: int = param(95, doc="JPEG quality.", low=0, high=100, reference="JPEG only; never taken for the PNG level")
    color: int = param(1, doc="1: three channels, 0: grey, -1: as stored.", choices=(-1, 0, 1))
    encoding: str = param(
        ".jpg", doc="Format of the stored images.", choices=ENCODINGS, reference="as the reference, and .bmp"
    )
    inter_method: int = param(
        1,
        doc="0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos, 9 by size, 10 drawn for each image.",
        choices=INTERPOLATIONS,
        reference="as the C++ tool; 10 is drawn from the id, so it repeats",
    )
    draft: bool = param(
        False,
        doc="Decode large JPEGs at the smallest scale that is no smaller than what is stored: faster, other pixels.",
        reference="ours",
    )
    max_pixels: int | None = param(**MAX_PIXELS)
    unchanged: bool = param(False, doc="Store the files unchanged; excludes the keys above, engine and png_level.")
    label_width: int | None = param(
        None,
        doc="Labels on every line of the list; not set: any number.",
        low=1,
        high=MAX_LABELS,
        reference="checked on every line (the C++ tool: 1 unless given)",
    )
    pack_label: bool = param(
        False, doc="Store all labels of a line, not only the first.", reference="as the C++ tool; one label: no vector"
    )
    nsplit: int = param(1, doc="Cut the list into this many parts, by bytes.", low=1)
    part: int = param(0, doc="The part to pack, from 0; the output gets .partNNN appended.", low=0)
    engine: str = param("auto", doc="Library that resizes and encodes.", choices=ENGINES, reference="ours")
    png_level: int = param(3, doc="PNG compression.", low=0, high=9, reference="ours (the C++ tool: quality)")

    def __post_init__(self) -> None:
        if isinstance(self.encoding, str) and not self.encoding.startswith("."):
            object.__setattr__(self, "encoding", f".{self.encoding}")
        check(self)
        if self.part >= self.nsplit:
            raise ParameterError(f"part={self.part} must be below nsplit={self.nsplit}", hint="parts count from 0")
        if self.max_side > 0 and self.resize > 0:
            raise ParameterError(f"max_side={self.max_side} excludes resize={self.resize}", hint="give one of the two")
        if self.unchanged:
            keys = [field.name for field in dataclasses.fields(self) if field.name not in KEPT_WITH_UNCHANGED]
            if given := changed(self, keys):
                problem = f"unchanged=1 excludes {given[0]}={getattr(self, given[0])}"
                raise ParameterError(problem, hint="stored as they are, images are neither decoded nor encoded")
