"""The forms in which datasets give images: tensors, arrays, images of Pillow, or encoded bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage

from im2rec.errors import ParameterError
from im2rec.images.codec import AS_STORED, COLOR, CUT, GREY, Image, decode, to_uint8


def _tensor(pixels: Image) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _pil(pixels: Image) -> PillowImage.Image:
    return PillowImage.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


FORMS: dict[str | None, Callable[[Image], Any] | None] = {
    "tensor": _tensor,
    "array": lambda pixels: pixels,
    "pil": _pil,
    None: None,
}


def check_options(form: str | None, color: int) -> None:
    """Raise ParameterError unless *form* and *color* are values of the parameters ``decode`` and ``color``."""
    for name, value, choices in (("decode", form, tuple(FORMS)), ("color", color, (COLOR, GREY, AS_STORED))):
        if value not in choices:
            raise ParameterError(f"{name}={value!r} must be {' or '.join(map(repr, choices))}")


def own_pixels(content: bytes, color: int) -> tuple[Image, bool]:
    """Return the pixels of *content*, uint8 (height, width, channels), as an array of their own that is writable.

    The second value is True for a JPEG whose data ends early, which is decoded as far as it goes. Raises ImageError.
    """
    pixels, flaw = decode(content, color, cut_ok=True)
    return np.require(to_uint8(pixels), requirements=("C", "W")), flaw == CUT
