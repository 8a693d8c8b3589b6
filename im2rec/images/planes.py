"""Pictures as planes, one for each channel."""

from __future__ import annotations

from im2rec.images.codec import Image


def write_planes(image: Image, out: Image, *, mirror: bool) -> None:
    """Write the channels of *image*, flipped left to right if *mirror*, to *out*: uint8 (channels, height, width)."""
    out[...] = (image[:, ::-1] if mirror else image).transpose(2, 0, 1)
