"""Frames and pages of an image after its first, which alone is decoded; they are found without decoding any."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from im2rec.errors import ImageError
from im2rec.images.opening import pillow_image, sniff
from im2rec.images.tiff import read_header

_VP8X_FLAGS, _ANIMATION = 20, 0x02  # offset of the flags in a WebP file, and the flag of an animation


def has_more_frames(content: bytes) -> bool:
    """True if an image that decodes has frames or pages after the first; thumbnails do not count."""
    find = _FINDERS.get(sniff(content))
    if find is not None:
        with contextlib.suppress(ImageError):
            return find(content)
    return False


def _in_gif(content: bytes) -> bool:
    with pillow_image(content) as image:
        return bool(getattr(image, "is_animated", False))  # looks for the start of the second frame


def _in_png(content: bytes) -> bool:
    at = content.find(b"acTL", 0, max(0, content.find(b"IDAT")))
    return at >= 0 and int.from_bytes(content[at + 4 : at + 8], "big") > 1


def _in_webp(content: bytes) -> bool:
    if content[12:16] != b"VP8X" or not content[_VP8X_FLAGS] & _ANIMATION:
        return False
    return content.find(b"ANMF", content.find(b"ANMF") + 4) > 0


_FINDERS: dict[str, Callable[[bytes], bool]] = {
    "GIF": _in_gif,
    "PNG": _in_png,
    "WebP": _in_webp,
    "TIFF": lambda content: read_header(content).has_more_pages,
    "AVIF": lambda content: content.startswith(b"ftypavis", 4),
}
