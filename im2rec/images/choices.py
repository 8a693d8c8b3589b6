"""Names of engines, encodings and interpolations, importable without the image libraries."""

from __future__ import annotations

ENGINES = ("auto", "opencv", "pillow")
REFERENCE = "reference"
ITERATOR_ENGINES = (*ENGINES, REFERENCE)  # it resizes, but does not encode
NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS = range(5)
AUTO, RANDOM = 9, 10
INTERPOLATIONS = (NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS, AUTO, RANDOM)
ENCODINGS = (".jpg", ".png", ".bmp")
