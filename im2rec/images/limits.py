"""One limit for the size of every image, checked against its header before anything is decoded.

A few bytes can claim gigabytes: a GIF of 54 bytes can have a canvas of 65,535 x 65,535 pixels, and a strip of
30,000 x 1 becomes 7,680,000 x 256 with ``resize=256``. So the memory that an image needs is estimated, from the number
of pixels of its canvas and of what it is scaled to. An image that needs more than ``MEMORY`` is bad. With
``max_pixels=N`` an image is bad that has more than N pixels, as it is stored or after it is scaled.
"""

from __future__ import annotations

from im2rec.errors import ImageError
from im2rec.images.jpeg import TOO_LARGE, is_baseline, scan_count

MEMORY = 1 << 30  # bytes for one image, if max_pixels is not given

# Bytes that decoding takes for each pixel of the canvas, by Pillow's name of the format. Source: the rise of the
# resident memory of a process during images.codec.decode(), measured on Linux with images of 5000 x 5000 pixels of
# all modes, Pillow 13.0: JPEG 3 to 7.7 (progressive without chroma subsampling 10), PNG, TIFF, BMP, PPM and others 3
# to 7.7, GIF 4.8, AVIF 10, WebP 16.1 (lossless 17.8), JPEG 2000 19.3 (in tiles of 512 pixels 7.7). None is below 8, as
# what is made of the decoded image, such as an encoded one, takes about as much.
SIXTEEN_BITS = "16 bits"  # as stored: two arrays of 2 bytes for each of 4 channels
BYTES_PER_PIXEL = {"AVIF": 10, "JPEG2000": 20, "WEBP": 18, SIXTEEN_BITS: 16}
_OTHER_FORMATS = 8
MAX_SCANS = 500  # of a JPEG, as where libjpeg-turbo is fuzzed; encoders write 10, and optimisers up to 100
TOO_MANY_SCANS = "too many scans"
DECODED, SCALED = 3, 8  # bytes for each pixel: of a decoded image, and of one that is scaled, and then encoded


def most_pixels(kind: str, max_pixels: int | None) -> int:
    """Return the largest number of pixels that an image of format *kind*, as Pillow names it, may have as stored.

    *max_pixels* is the parameter of that name; None if it is not given.
    """
    return MEMORY // BYTES_PER_PIXEL.get(kind, _OTHER_FORMATS) if max_pixels is None else max_pixels


def check_stored(kind: str, size: tuple[int, int], max_pixels: int | None) -> None:
    """Raise ImageError if an image of format *kind* and *size*, (width, height), is above the limit."""
    pixels = size[0] * size[1]
    if pixels > most_pixels(kind, max_pixels):
        needed = BYTES_PER_PIXEL.get(kind, _OTHER_FORMATS) * pixels
        raise _too_large(f"is {size[0]} x {size[1]} pixels", needed, pixels, max_pixels)


def check_jpeg(content: bytes, size: tuple[int, int], at_least: tuple[int, int] | None, max_pixels: int | None) -> None:
    """Raise ImageError if a JPEG of *size* is above the limit, or has more than ``MAX_SCANS`` scans.

    With *at_least*, as in :func:`~im2rec.images.codec.decode`, a baseline one takes the memory of its reduced scale.
    """
    if (scans := scan_count(content)) > MAX_SCANS:
        problem = f"has {scans} scans, more than {MAX_SCANS}: decoding it would take {scans} times as long"
        raise ImageError(problem, reason=TOO_MANY_SCANS, hint="no encoder writes as many")
    if at_least and max_pixels is None and is_baseline(content):
        scale = min(8, size[0] // max(1, at_least[0]), size[1] // max(1, at_least[1]))
        scale = 1 << max(1, scale).bit_length() - 1  # the power of two that is no larger: Pillow knows only those
        if most_pixels("JPEG", None) >= -(-size[0] // scale) * -(-size[1] // scale):
            return
    check_stored("JPEG", size, max_pixels)


def check_scaled(
    old: tuple[int, int], new: tuple[int, int], max_pixels: int | None, *, bytes_per_pixel: int = SCALED
) -> None:
    """Raise ImageError if an image of size *old*, (width, height), is above the limit when it is scaled to *new*.

    *bytes_per_pixel* are those that are needed for each new pixel.
    """
    pixels = new[0] * new[1]
    needed = DECODED * old[0] * old[1] + bytes_per_pixel * pixels
    if needed > MEMORY if max_pixels is None else pixels > max_pixels:
        problem = f"is {old[0]} x {old[1]} pixels, {new[0]} x {new[1]} after resize"
        raise _too_large(problem, needed, pixels, max_pixels)


def _too_large(problem: str, needed: int, pixels: int, max_pixels: int | None) -> ImageError:
    if max_pixels is None:
        problem = f"{problem}, and needs about {needed / 1e9:.1f} GB of memory"
    else:
        problem = f"{problem}, more than max_pixels={max_pixels}"
    hint = f"raise max_pixels to {pixels} for images you trust"
    return ImageError(problem, reason=TOO_LARGE, hint=hint)
