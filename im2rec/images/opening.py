"""Open images by Pillow, and find frames and pages after the first, without decoding any."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import threading
import warnings
from collections.abc import Callable, Iterator

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from im2rec.errors import ImageError
from im2rec.images.jpeg import CUT
from im2rec.images.signatures import EMPTY, NOT_AN_IMAGE, not_an_image, sniff
from im2rec.images.tiff import TiffHeader, check_storable, read_header

UNREAD = "does not decode"
_PILLOW_FORMATS = {"JPEG 2000": "JPEG2000", "Sun raster": "SUN"}  # where Pillow's name is another
_PILLOW_MODULES = {"AVIF": "_avif", "WebP": "_webp"}  # which not every Pillow has
_VP8X_FLAGS, _ANIMATION = 20, 0x02  # offset of the flags in a WebP file, and the flag of an animation
_OPEN_LOCK = threading.Lock()  # warning filters and Pillow's limit belong to the whole process


def check_kind(content: bytes) -> TiffHeader | None:
    """Raise ImageError if *content* is of a kind that :func:`decode` refuses; return the header if it is a TIFF."""
    kind = sniff(content)
    if kind in (EMPTY, NOT_AN_IMAGE):
        raise not_an_image(content, kind)
    tiff = read_header(content) if kind == "TIFF" else None
    if tiff is not None:
        check_storable(tiff)
    return tiff


def cut_error() -> ImageError:
    """Return the error for image data that ends early."""
    return ImageError("the image data ends early", reason=CUT)


@contextlib.contextmanager
def pillow_image(content: bytes) -> Iterator[PillowImage.Image]:
    """Open an image by Pillow; turn the errors of opening it and of the ``with`` block into ImageErrors."""
    kind = sniff(content)
    check_kind(content)
    if not _is_read_by_pillow(kind):
        problem = f"is of the kind {kind}, which this Pillow cannot read: upgrade Pillow, or convert it to JPEG first"
        raise ImageError(problem, reason=f"{kind} image")
    try:
        with _open(content, _PILLOW_FORMATS.get(kind, kind)) as image:
            yield image
    except UnidentifiedImageError:
        raise ImageError("holds no image that can be read", reason=UNREAD) from None
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise errors of any class for damaged bytes
        is_cut = "truncated" in str(error)
        if is_cut and kind == "JPEG":
            raise cut_error() from None
        raise ImageError(f"does not decode: {error}", reason=CUT if is_cut else UNREAD) from None


@functools.cache
def _is_read_by_pillow(kind: str) -> bool:
    """False if this Pillow was built without the library for *kind*."""
    module = _PILLOW_MODULES.get(kind)
    return module is None or importlib.util.find_spec(f"PIL.{module}") is not None


def _open(content: bytes, format_: str) -> PillowImage.Image:
    # Pillow warns about odd metadata, which changes no pixel. Its limit on the size of images is lifted, as ours is
    # checked when an image is decoded, so that the header of a larger one can still be read.
    with _OPEN_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Read under the lock, as another thread in this function has lifted the limit until it leaves.
        limit = PillowImage.MAX_IMAGE_PIXELS
        try:
            PillowImage.MAX_IMAGE_PIXELS = None
            return PillowImage.open(io.BytesIO(content), formats=(format_,))  # no other plugin runs
        finally:
            PillowImage.MAX_IMAGE_PIXELS = limit


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
