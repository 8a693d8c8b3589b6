"""The names of engines, encodings and interpolations, apart from the libraries behind them."""

from __future__ import annotations

ENGINES = ("auto", "opencv", "pillow")
REFERENCE = "reference"
FEED_ENGINES = (*ENGINES, REFERENCE)
NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS = range(5)
AUTO, RANDOM = 9, 10
INTERPOLATIONS = (NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS, AUTO, RANDOM)
ENCODINGS = (".jpg", ".png", ".bmp")
MAX_PIXELS = 178_956_970  # of an image: half a gigabyte of colour; where Pillow stops too
