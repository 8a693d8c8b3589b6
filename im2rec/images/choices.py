"""What parameters of several commands have in common, importable without the image libraries."""

from __future__ import annotations

from typing import Any

ENGINES = ("auto", "opencv", "pillow")
REFERENCE = "reference"
ITERATOR_ENGINES = (*ENGINES, REFERENCE)  # it resizes, but does not encode
NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS = range(5)
AUTO, RANDOM = 9, 10
INTERPOLATIONS = (NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS, AUTO, RANDOM)
ENCODINGS = (".jpg", ".png", ".bmp")
# The declaration of max_pixels, for im2rec.params.param().
MAX_PIXELS: dict[str, Any] = {
    "default": None,
    "doc": "An image of more pixels, as stored or after resize, is bad; auto: one that needs more than 1 GiB of memory,"
    " as its header says.",
    "low": 1,
    "unset": "auto",
    "reference": "ours",
}
