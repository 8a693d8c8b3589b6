"""Images for the JPEG kernel, and the expected pixels: libjpeg-turbo's of the whole image, cropped and mirrored.

libjpeg-turbo is that of simplejpeg, or of Pillow if that is not installed: the pixels of a sound file are the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFile, features

from im2rec.images.reference import resized
from im2rec.jpeg.kernel import Kernel

ImageFile.MAXBLOCK = 1 << 22  # Pillow needs a buffer for the whole file to optimise the tables
SUBSAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2, "grey": 0}
Array = Any
SIMPLEJPEG: Any = importlib.import_module("simplejpeg") if importlib.util.find_spec("simplejpeg") else None
needs_libjpeg_turbo = pytest.mark.skipif(
    SIMPLEJPEG is None and not features.check_feature("libjpeg_turbo"), reason="neither Pillow nor simplejpeg has it"
)


def encoded(pixels: Array, **options: Any) -> bytes:
    """*pixels* as a JPEG; *options* are Pillow's."""
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def drawn(rng: np.random.Generator, height: int, width: int) -> Array:
    """An image: clouds, noise, or black and white noise."""
    kind = rng.random()
    if kind < 0.6:
        small = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
        return np.asarray(PillowImage.fromarray(small).resize((width, height), PillowImage.Resampling.BICUBIC))
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    return noise if kind < 0.9 else np.where(noise > 127, np.uint8(255), np.uint8(0))


def any_jpeg(rng: np.random.Generator, largest: int = 200) -> bytes:
    """A random JPEG of any kind that the kernel supports."""
    side = int(rng.choice([8, 40, 100, largest]))
    height, width = (int(value) for value in rng.integers(1, side + 1, 2))
    pixels = drawn(rng, height, width)
    kind = str(rng.choice(list(SUBSAMPLINGS)))
    if kind == "grey":
        pixels = np.ascontiguousarray(pixels[:, :, 0])
    options = {} if kind == "grey" else {"subsampling": SUBSAMPLINGS[kind]}
    return encoded(pixels, quality=int(rng.integers(1, 101)), optimize=bool(rng.integers(2)), **options)


def libjpeg(content: bytes) -> Array | None:
    """The pixels by libjpeg-turbo; None where it refuses. Pillow refuses less."""
    try:
        if SIMPLEJPEG:
            return SIMPLEJPEG.decode_jpeg(content, "RGB")
        with PillowImage.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except (ValueError, OSError, SyntaxError):
        return None


def any_crop(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    """A random crop of an image, often at an edge."""
    high, wide = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
    top = int(rng.choice([0, height - high, rng.integers(0, height - high + 1)]))
    left = int(rng.choice([0, width - wide, rng.integers(0, width - wide + 1)]))
    return top, left, high, wide


def cropped(pixels: Array, crop: tuple[int, int, int, int], *, mirror: bool = False, planes: bool = False) -> Array:
    """The *crop* of the pixels of a whole image, mirrored, and in planes, on demand."""
    top, left, height, width = crop
    part = pixels[top : top + height, left : left + width]
    part = part[:, ::-1] if mirror else part
    return part.transpose(2, 0, 1) if planes else part


def scaled_part(kernel: Kernel, rng: np.random.Generator, content: bytes) -> tuple[Any, bool, int, Array | None]:
    """A random crop, mirroring and interpolation, and the crop scaled by the kernel; None if it refuses the image."""
    head, mirror, method = kernel.header(content), bool(rng.integers(2)), int(rng.integers(5))
    crop = any_crop(rng, max(head.height, 1), max(head.width, 1))
    out = np.empty((*rng.integers(1, 90, 2), 3), np.uint8)
    reason = kernel.decode_into(content, crop, out, inter_method=method, mirror=mirror, planes=False)
    return crop, mirror, method, None if reason else out


REFUSED, LEFT = "both refuse", "left to libjpeg"
FINE = ("", REFUSED, LEFT)


def differs(kernel: Kernel, rng: np.random.Generator, content: bytes) -> str:
    """The difference between kernel and libjpeg for *content*, whole, cropped and scaled; empty if there is none."""
    whole, expected = kernel.decode(content), libjpeg(content)
    if expected is None:
        is_taken = not isinstance(whole, str) or scaled_part(kernel, rng, content)[3] is not None
        return "decodes what libjpeg refuses" if is_taken else REFUSED
    if not isinstance(whole, str) and not np.array_equal(expected, whole):
        return "other pixels"
    if kernel.header(content).reason:
        return LEFT
    for _ in range(2):
        crop = any_crop(rng, *expected.shape[:2])
        mirror, planes = bool(rng.integers(2)), bool(rng.integers(2))
        right = cropped(expected, crop, mirror=mirror, planes=planes)
        out = np.empty(right.shape, np.uint8)
        # A whole image may be refused for coefficients outside the crop.
        if not kernel.decode_into(content, crop, out, mirror=mirror, planes=planes) and not np.array_equal(right, out):
            return f"other pixels in {crop}, mirror={mirror}, planes={planes}"
    crop, mirror, method, scaled = scaled_part(kernel, rng, content)
    if scaled is not None:
        height, width = scaled.shape[:2]
        right = cropped(resized(cropped(expected, crop), width, height, method), (0, 0, height, width), mirror=mirror)
        if not np.array_equal(right, scaled):
            return f"other pixels in {crop}, mirror={mirror}, scaled to {height} x {width} by {method}"
    return LEFT if isinstance(whole, str) else ""


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG: marker, length, *data*."""
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data
