"""Encoded images to pixels, and what can be told of them from their first bytes alone.

JPEGs are decoded by libjpeg-turbo straight into numpy, without the GIL (simplejpeg); everything else by Pillow, which
also steps in where simplejpeg is not installed or refuses a file. Pixels equal those OpenCV's ``imread`` gives
``im2rec.py``; docs/differences.md names the exceptions.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from im2rec.errors import ImageError
from im2rec.images import jpeg
from im2rec.images.bmp import bmp_view
from im2rec.images.choices import MAX_PIXELS
from im2rec.images.grey import SRGB_GAMMA, grey
from im2rec.images.jpeg import (
    END_OF_IMAGE,
    FIRST_TRANSPOSED,
    ORIENTATION_TAG,
    ORIENTATIONS,
    UPRIGHT,
    parse_orientation,
    turned,
)

Image = npt.NDArray[Any]  # uint8 (height, width, channels), RGB order; uint16 only with color=-1
Room = Callable[[int], npt.NDArray[np.uint8]]  # memory of at least so many bytes
Verdict = Callable[[bytes], "str | None"]  # of a JPEG: CUT, STRAY, NO_END, nothing when sound, None for no telling

AS_STORED, GREY, COLOR = -1, 0, 1
_HUFFMAN, _SCAN = b"\xff\xc4", b"\xff\xda"  # of a JPEG: DHT, SOS
_ENDS = END_OF_IMAGE * (1 << 15)  # more than the longest segment that may have been cut
_WITH_EXIF = ("JPEG", "PNG", "WebP", "TIFF")
_JPEG_CHANNELS = {"Gray": 1, "CMYK": 4, "YCCK": 4}  # three in all other colour spaces
_PNG_IHDR_BYTES, _PNG_COLOR_KINDS = 33, (2, 4, 6)  # RGB, grey with alpha, RGBA
_OPENING = threading.Lock()  # warning filters and Pillow's limit are the whole program's
NOT_AN_IMAGE, EMPTY = "not an image", "empty"
CUT, STRAY, NO_END, TOO_LARGE = jpeg.CUT, jpeg.STRAY, jpeg.NO_END, jpeg.TOO_LARGE

_SIGNATURES = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"BM", 0, "BMP"),
    (b"GIF8", 0, "GIF"),
    (b"WEBP", 8, "WebP"),
    (b"II*\x00", 0, "TIFF"),
    (b"MM\x00*", 0, "TIFF"),
    (b"\x00\x00\x00\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"ftypavif", 4, "AVIF"),
    (b"P5", 0, "PPM"),
    (b"P6", 0, "PPM"),
)
_HEADS_KEPT = 1024  # of JPEGs, each of 2 kB at the most
SIGNATURE_BYTES = 12  # as many first bytes tell all of them

try:
    _simplejpeg: Any = importlib.import_module("simplejpeg")
except ImportError:
    _simplejpeg = None
JPEG_DECODER = "simplejpeg" if _simplejpeg else "pillow"


class Decoded(NamedTuple):
    """Pixels, and the harmless flaw the file had: ``STRAY`` bytes, ``NO_END`` marker, or nothing."""

    pixels: Image
    flaw: str = ""


class ImageInfo(NamedTuple):
    """What the header of an encoded image says; *height* and *width* as stored, before any orientation."""

    kind: str
    height: int
    width: int
    channels: int


def sniff(content: bytes) -> str:
    """The kind of image *content* starts like (``JPEG``, ``PNG``, ...), else ``NOT_AN_IMAGE`` or ``EMPTY``."""
    if not content:
        return EMPTY
    for signature, at, kind in _SIGNATURES:
        if content.startswith(signature, at):
            return kind
    return NOT_AN_IMAGE


def image_info(content: bytes) -> ImageInfo:
    """Size and channels from the header; the first few kilobytes of a file are usually enough.

    Raises ImageError when there is no image, or its header is not in *content*.
    """
    kind = sniff(content)
    found = _jpeg_info(content) if kind == "JPEG" else None
    if found is not None:
        return found
    with _pillow(content) as image:
        return ImageInfo(kind, image.height, image.width, len(image.getbands()))


def _jpeg_info(content: bytes) -> ImageInfo | None:
    """None when Pillow should try, which also knows the rarer kinds."""
    if _simplejpeg is None:
        return None
    try:
        height, width, space, _ = _simplejpeg.decode_jpeg_header(content, strict=False)
    except (ValueError, KeyError):  # said of a header that is cut short
        return None
    return ImageInfo("JPEG", height, width, _JPEG_CHANNELS.get(space, 3))


def _jpeg_facts(content: bytes) -> tuple[ImageInfo, int]:
    """What the head of a JPEG tells: size and channels, and the EXIF orientation. Raises ImageError."""
    head = jpeg.head(content)
    known = _head_facts(head) if head else None
    return known or (image_info(content), parse_orientation(jpeg.exif(content)))


@functools.lru_cache(maxsize=_HEADS_KEPT)
def _head_facts(head: bytes) -> tuple[ImageInfo, int] | None:
    """The same of a *head* alone; None where it takes the whole file, as when a thumbnail begins like image data."""
    info = _jpeg_info(head) if jpeg.is_orderly(head) else None
    return (info, parse_orientation(jpeg.exif(head))) if info else None


def decode(
    content: bytes,
    color: int = COLOR,
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    cut_ok: bool = False,
    room: Room | None = None,
    verdict: Verdict | None = None,
) -> Decoded:
    """The pixels of an encoded image, as (height, width, channels) uint8 in RGB order; a new array.

    *color* 1 gives three channels and 0 one, both turned as the EXIF orientation says; -1 gives what is stored, not
    turned: one, three, or with alpha four channels, and 16-bit PNGs as uint16 (colour ones only where OpenCV is
    installed). Alpha is dropped, not blended; 16 bits become 8 by their high byte; palettes become colours.
    *at_least* (width, height), as stored, allows a JPEG to be decoded at the smallest scale libjpeg has that is no
    smaller: other pixels, several times faster. *cut_ok* gives the pixels of a JPEG whose data ends early as well,
    its flaw ``CUT``, what is missing filled in by libjpeg. *room* gives memory that the pixels may be put into; they
    may then also be a read-only view of *content* with negative strides. *verdict* tells what is wrong with a JPEG, and
    is asked where simplejpeg, which would tell, is not installed; without either, Pillow overlooks damage.
    Raises ImageError, its *reason* ``CUT`` when the image data ends early, ``TOO_LARGE`` when the header claims more
    than *max_pixels*: a few bytes can claim gigabytes.

    Source: OpenCV ``imread`` as mxnet tools/im2rec.py calls it, and ``imdecode`` as ImageRecordIter does.
    """
    try:
        return _decoded(content, color, at_least, max_pixels, room, verdict)
    except ImageError as error:
        if cut_ok and error.reason == CUT and sniff(content) == "JPEG":
            # When the cut is inside the tables of a progressive one's next scan, what is before them will do.
            for end in (len(content), max(content.rfind(_HUFFMAN), content.rfind(_SCAN))):
                with contextlib.suppress(ImageError):
                    return _decoded_by_pillow(content[:end] + _ENDS, color, at_least, max_pixels)._replace(flaw=CUT)
        raise


def _decoded(
    content: bytes,
    color: int,
    at_least: tuple[int, int] | None,
    max_pixels: int,
    room: Room | None,
    verdict: Verdict | None,
) -> Decoded:
    flaw, kind = "", sniff(content)
    if kind == "BMP" and color != GREY and (view := bmp_view(content, max_pixels)) is not None:
        return Decoded(view if room else np.ascontiguousarray(view))
    if kind == "JPEG" and _simplejpeg:
        (_, height, width, channels), turn = _jpeg_facts(content)
        _check_pixels((width, height), max_pixels)
        is_grey = color == GREY or (color == AS_STORED and channels == 1)
        buffer = room(height * width * (1 if is_grey else 3)) if room and at_least is None else None
        pixels, flaw = _decode_jpeg(content, "GRAY" if is_grey else "RGB", at_least or (0, 0), buffer)
        if pixels is not None:
            return Decoded(pixels if turn == UPRIGHT or color == AS_STORED else turned(pixels, turn), flaw)
    elif kind == "JPEG" and verdict:
        info, _ = _jpeg_facts(content)
        _check_pixels((info.width, info.height), max_pixels)
        flaw = verdict(content) or ""
        if flaw == CUT:
            raise _cut_error()
        if flaw == NO_END:
            content += END_OF_IMAGE
    return _decoded_by_pillow(content, color, at_least, max_pixels)._replace(flaw=flaw)


def _decoded_by_pillow(content: bytes, color: int, at_least: tuple[int, int] | None, max_pixels: int) -> Decoded:
    with _pillow(content) as image:
        _check_pixels(image.size, max_pixels)
        if image.format == "JPEG":
            image.draft("L" if color == GREY else None, at_least or image.size)
        if color == AS_STORED:
            deep = _deep_color(content) if image.format == "PNG" else None
            return Decoded(_stored(image) if deep is None else deep)
        return Decoded(turned(_flat(image, color), _image_orientation(image)))


def orientation(content: bytes) -> int:
    """The EXIF orientation of an image, 1 to 8; 1 (upright) when it says nothing."""
    kind = sniff(content)
    if kind == "JPEG":
        return parse_orientation(jpeg.exif(content))
    if kind in _WITH_EXIF:
        with contextlib.suppress(ImageError), _pillow(content) as image:
            return _image_orientation(image)
    return UPRIGHT


def transposed(content: bytes, color: int = COLOR) -> bool:
    """Whether :func:`decode` exchanges the width and height of an image."""
    return color != AS_STORED and orientation(content) >= FIRST_TRANSPOSED


def _image_orientation(image: PillowImage.Image) -> int:
    if image.format == "TIFF":
        turn = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
        return turn if turn in ORIENTATIONS else UPRIGHT
    return parse_orientation(image.info.get("exif", b""))


def _decode_jpeg(
    content: bytes, space: str, at_least: tuple[int, int], buffer: Image | None
) -> tuple[Image | None, str]:
    """Pixels and flaw; None for pixels when Pillow should try. Raises ImageError for a cut file."""
    size = {"min_width": at_least[0], "min_height": at_least[1], "buffer": buffer}  # zeros: the full size
    try:
        return _simplejpeg.decode_jpeg(content, space, **size), ""
    except ValueError as error:
        problem = str(error)
    if "Premature end of JPEG" in problem:
        # With the end marker in place a whole image passes the strict decoder, one whose data ends early does not.
        with contextlib.suppress(ValueError):
            return _simplejpeg.decode_jpeg(content + END_OF_IMAGE, space, **size), NO_END
    if "premature end" in problem.lower():
        raise _cut_error()
    return None, STRAY if problem.startswith("Corrupt JPEG data") else ""


def _cut_error() -> ImageError:
    return ImageError("the image data ends early", reason=CUT)


@contextlib.contextmanager
def _pillow(content: bytes) -> Iterator[PillowImage.Image]:
    """The image as Pillow opens it; what goes wrong with it in the block becomes an ImageError."""
    try:
        with _opened(content) as image:
            yield image
    except UnidentifiedImageError:
        kind = sniff(content)
        reason = kind if kind in (EMPTY, NOT_AN_IMAGE) else "does not decode"
        raise ImageError("holds no image that can be read", reason=reason) from None
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise what they like on damaged bytes
        cut = "truncated" in str(error)
        if cut and sniff(content) == "JPEG":
            raise _cut_error() from None
        raise ImageError(f"does not decode: {error}", reason=CUT if cut else "does not decode") from None


def _opened(content: bytes) -> PillowImage.Image:
    # Pillow warns of odd metadata, which changes no pixel, and has a limit of its own to the size of images: ours is
    # held against them where they are decoded, and does not keep anybody from reading a header.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Read under the lock: another thread may be in here, with the limit taken away.
        limit = PillowImage.MAX_IMAGE_PIXELS
        try:
            PillowImage.MAX_IMAGE_PIXELS = None
            return PillowImage.open(io.BytesIO(content))
        finally:
            PillowImage.MAX_IMAGE_PIXELS = limit


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        problem = f"{size[0]} x {size[1]} are more than max_pixels={max_pixels}"
        raise ImageError(problem, reason=TOO_LARGE, hint="raise it for images you trust")


def _deep_color(content: bytes) -> Image | None:
    """A 16-bit colour PNG as uint16, where OpenCV is installed; Pillow would drop the low bytes. None for others."""
    depth, kind = content[24:26] if len(content) > _PNG_IHDR_BYTES else (0, 0)
    if depth != 16 or kind not in _PNG_COLOR_KINDS:
        return None
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return None
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageError("does not decode")
    return np.ascontiguousarray(pixels[:, :, [2, 1, 0, *range(3, pixels.shape[2])]])


def _flat(image: PillowImage.Image, color: int) -> Image:
    """*image* as uint8, three channels or one."""
    kind, gamma = image.format or "", _gamma(image)  # a converted image has neither
    if image.mode in _DEEP:
        image = PillowImage.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if "transparency" in image.info and image.mode == "P":
        image = image.convert("RGBA")  # the palette's colours come out right only together with their alpha
    if color != GREY:
        return np.asarray(image.convert("RGB"))
    if image.mode in _GREY or kind in _JPEGS:
        return np.asarray(image.convert("L"))[:, :, None]
    return grey(np.asarray(image.convert("RGB")), kind, gamma)


def _gamma(image: PillowImage.Image) -> int:
    """The gamma that a PNG tells of its colours, in 100000ths; 0 where none is told."""
    if image.format != "PNG":
        return 0
    return SRGB_GAMMA if "srgb" in image.info else round(100_000 * image.info.get("gamma", 0))


def _stored(image: PillowImage.Image) -> Image:
    """*image* with the channels and depth it has."""
    if image.mode in _DEEP:
        return np.asarray(image).astype(np.uint16)[:, :, None]
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))[:, :, None]
    alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if alpha else "RGB"))


_JPEGS = ("JPEG", "MPO")  # the second is of several images, of which this is the first
_GREY = ("L", "1", "LA", "La")
_DEEP = ("I;16", "I;16B", "I;16L", "I")  # 16-bit grey; "I" is what older Pillows call it
