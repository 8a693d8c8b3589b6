"""Decode images; identify their format, size and orientation from their first bytes.

JPEGs are decoded by libjpeg-turbo straight into NumPy arrays, without the GIL (simplejpeg). All other formats, and
JPEGs where simplejpeg is not installed or refuses a file, are decoded by Pillow. Images are turned upright as
their EXIF orientation says (:func:`~im2rec.images.jpeg.apply_orientation`). Pixels equal those that OpenCV's ``imread``
gives ``im2rec.py``; docs/differences.md lists the exceptions.
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
from im2rec.images.grey import SRGB_GAMMA, grey
from im2rec.images.jpeg import (
    END_OF_IMAGE,
    FIRST_TRANSPOSED,
    ORIENTATION_TAG,
    ORIENTATIONS,
    UPRIGHT,
    apply_orientation,
    parse_orientation,
)
from im2rec.images.limits import canvas, check_jpeg, check_stored, in_bands, most_pixels

Image = npt.NDArray[Any]  # uint8 (height, width, channels), RGB order; uint16 only with color=-1
Room = Callable[[int], npt.NDArray[np.uint8]]  # allocates at least this number of bytes
Verdict = Callable[[bytes], "str | None"]  # checks a JPEG: CUT, STRAY, NO_END, "" for a sound one, None if unknown

AS_STORED, GREY, COLOR = -1, 0, 1
_DHT, _SOS = b"\xff\xc4", b"\xff\xda"
_END_MARKERS = END_OF_IMAGE * (1 << 15)  # 64 KiB: fills up the longest segment that may have been cut
_FORMATS_WITH_EXIF = ("JPEG", "PNG", "WebP", "TIFF")
_JPEG_CHANNELS = {"Gray": 1, "CMYK": 4, "YCCK": 4}  # three in all other colour spaces
_PNG_IHDR_END, _PNG_COLOR_TYPES = 33, (2, 4, 6)  # RGB, grey with alpha, RGBA
_OPEN_LOCK = threading.Lock()  # warning filters and Pillow's limit belong to the whole process
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
SIGNATURE_BYTES = 12  # the longest of them ends here
_CACHED_JPEG_HEADERS = 1024  # of at most 2 kB each

# Modes and formats as Pillow names them.
_GREY_MODES = ("L", "1", "LA", "La")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I")  # of grey; older Pillows open such files as "I"
_JPEG_FORMATS = ("JPEG", "MPO")  # an MPO file is several JPEGs, of which the first is decoded

try:
    _simplejpeg: Any = importlib.import_module("simplejpeg")
except ImportError:
    _simplejpeg = None
JPEG_DECODER = "simplejpeg" if _simplejpeg else "pillow"


class Decoded(NamedTuple):
    """Pixels, and the harmless flaw of the file: ``STRAY``, ``NO_END``, or empty; ``CUT`` only with *cut_ok*."""

    pixels: Image
    flaw: str = ""


class ImageInfo(NamedTuple):
    """Format, size and channels in the header of an image; *height* and *width* before any EXIF orientation."""

    kind: str
    height: int
    width: int
    channels: int


def sniff(content: bytes) -> str:
    """Return the format whose signature *content* has (``JPEG``, ``PNG``, ...), else ``NOT_AN_IMAGE`` or ``EMPTY``."""
    if not content:
        return EMPTY
    for signature, offset, kind in _SIGNATURES:
        if content.startswith(signature, offset):
            return kind
    return NOT_AN_IMAGE


def image_info(content: bytes) -> ImageInfo:
    """Return format, size and channels from the header; the first few kilobytes of a file are usually enough.

    Raises ImageError if *content* is not an image, or does not contain the whole header.
    """
    kind = sniff(content)
    info = _jpeg_info(content) if kind == "JPEG" else None
    if info is not None:
        return info
    with _pillow_image(content) as image:
        return ImageInfo(kind, image.height, image.width, len(image.getbands()))


def _jpeg_info(content: bytes) -> ImageInfo | None:
    """Size and channels by simplejpeg; None if Pillow, which also reads rarer JPEGs, is to be used."""
    if _simplejpeg is None:
        return None
    try:
        height, width, space, _ = _simplejpeg.decode_jpeg_header(content, strict=False)
    except (ValueError, KeyError):  # raised for a header that is cut short
        return None
    return ImageInfo("JPEG", height, width, _JPEG_CHANNELS.get(space, 3))


def _jpeg_info_and_orientation(content: bytes) -> tuple[ImageInfo, int]:
    """Size, channels and EXIF orientation of a JPEG. Raises ImageError."""
    header = jpeg.header_bytes(content)
    cached = _header_info_and_orientation(header) if header else None
    return cached or (image_info(content), parse_orientation(jpeg.exif(content)))


@functools.lru_cache(maxsize=_CACHED_JPEG_HEADERS)
def _header_info_and_orientation(header: bytes) -> tuple[ImageInfo, int] | None:
    """Size, channels and EXIF orientation from the bytes before the image data; None if the whole file is needed.

    It is needed where *header* ends at the image data of a thumbnail.
    """
    info = _jpeg_info(header) if jpeg.is_well_formed(header) else None
    return (info, parse_orientation(jpeg.exif(header))) if info else None


def decode(
    content: bytes,
    color: int = COLOR,
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int | None = None,
    cut_ok: bool = False,
    room: Room | None = None,
    verdict: Verdict | None = None,
) -> Decoded:
    """Decode an image to a new uint8 array of shape (height, width, channels), in RGB order.

    ``pixels, flaw = im2rec.decode(Path("cat.jpg").read_bytes())`` gives the pixels as ImageRecordIter decodes them.

    *color* selects the channels, as in ``im2rec.py``: 1 gives three and 0 gives one, both turned upright by the EXIF
    orientation. -1 keeps what is stored and does not turn it: one or three channels, four with alpha, and uint16 for
    16-bit PNGs (those in colour only if OpenCV is installed). Otherwise alpha is dropped, not blended, 16 bits become
    8 by their high byte, and palettes become colours.

    *at_least*, (width, height) before any orientation, allows decoding a JPEG at the smallest scale of libjpeg that is
    not below that size: several times faster, with slightly different pixels. *cut_ok* also accepts a JPEG whose data
    ends early: its flaw is ``CUT``, and libjpeg fills in the missing pixels. *room* allocates memory that the pixels
    may be written to; with it, the result may also be a read-only view of *content* with negative strides. *verdict*
    checks a JPEG where simplejpeg is not installed; without either of them, Pillow overlooks damage.

    Raises ImageError, with *reason* ``CUT`` if the image data ends early, and ``TOO_LARGE`` if the header claims more
    than *max_pixels*, or without it an image that needs more than 1 GiB: a few bytes can claim gigabytes.

    Source: OpenCV ``imread`` as mxnet tools/im2rec.py calls it, and ``imdecode`` as ImageRecordIter does.
    """
    try:
        return _decoded(content, color, at_least, max_pixels, room, verdict)
    except ImageError as error:
        if cut_ok and error.reason == CUT and sniff(content) == "JPEG":
            # If the cut is inside the tables of the next scan of a progressive JPEG, the scans before it are decoded.
            for end in (len(content), max(content.rfind(_DHT), content.rfind(_SOS))):
                with contextlib.suppress(ImageError):
                    filled = content[:end] + _END_MARKERS
                    return _decoded_by_pillow(filled, color, at_least, max_pixels)._replace(flaw=CUT)
        raise


def _decoded(
    content: bytes,
    color: int,
    at_least: tuple[int, int] | None,
    max_pixels: int | None,
    room: Room | None,
    verdict: Verdict | None,
) -> Decoded:
    flaw, kind = "", sniff(content)
    if kind == "BMP" and color != GREY and (view := bmp_view(content, most_pixels("BMP", max_pixels))) is not None:
        return Decoded(view if room else np.ascontiguousarray(view))
    if kind == "JPEG" and _simplejpeg:
        (_, height, width, channels), orientation = _jpeg_info_and_orientation(content)
        check_jpeg(content, (width, height), at_least, max_pixels)
        is_grey = color == GREY or (color == AS_STORED and channels == 1)
        buffer = room(height * width * (1 if is_grey else 3)) if room and at_least is None else None
        pixels, flaw = _decode_jpeg(content, "GRAY" if is_grey else "RGB", at_least or (0, 0), buffer)
        if pixels is not None:
            return Decoded(pixels if color == AS_STORED else apply_orientation(pixels, orientation), flaw)
    elif kind == "JPEG" and verdict:
        info, _ = _jpeg_info_and_orientation(content)
        check_jpeg(content, (info.width, info.height), at_least, max_pixels)
        flaw = verdict(content) or ""
        if flaw == CUT:
            raise _cut_error()
        if flaw == NO_END:
            content += END_OF_IMAGE
    return _decoded_by_pillow(content, color, at_least, max_pixels)._replace(flaw=flaw)


def _decoded_by_pillow(content: bytes, color: int, at_least: tuple[int, int] | None, max_pixels: int | None) -> Decoded:
    with _pillow_image(content) as image:
        kind = image.format or ""
        if kind == "JPEG":
            check_jpeg(content, image.size, at_least, max_pixels)
            image.draft("L" if color == GREY else None, at_least or image.size)
        else:
            check_stored(kind, canvas(image), max_pixels)
        if color == AS_STORED:
            pixels = _sixteen_bit_color(content) if kind == "PNG" else None
            return Decoded(in_bands(image, _as_stored) if pixels is None else pixels)
        gamma = _gamma(image)  # read here, as parts of images have neither this nor a format
        pixels = in_bands(image, lambda band: _eight_bit(band, color, kind, gamma))
        turn = _pillow_orientation(image)
        image.close()  # frees its memory before the image is turned
    return Decoded(apply_orientation(pixels, turn))


def orientation(content: bytes) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1, upright, if none is given."""
    kind = sniff(content)
    if kind == "JPEG":
        return parse_orientation(jpeg.exif(content))
    if kind in _FORMATS_WITH_EXIF:
        with contextlib.suppress(ImageError), _pillow_image(content) as image:
            return _pillow_orientation(image)
    return UPRIGHT


def is_transposed(content: bytes, color: int = COLOR) -> bool:
    """True if :func:`decode` exchanges the width and height of an image because of its EXIF orientation."""
    return color != AS_STORED and orientation(content) >= FIRST_TRANSPOSED


def _pillow_orientation(image: PillowImage.Image) -> int:
    if image.format == "TIFF":  # its own tags are the EXIF data
        value = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
        return value if value in ORIENTATIONS else UPRIGHT
    return parse_orientation(image.info.get("exif", b""))


def _decode_jpeg(
    content: bytes, space: str, at_least: tuple[int, int], buffer: Image | None
) -> tuple[Image | None, str]:
    """Pixels, or None if Pillow is to be used, and the flaw. Raises ImageError for a file that is cut short."""
    options = {"min_width": at_least[0], "min_height": at_least[1], "buffer": buffer}  # zeros: the full size
    try:
        return _simplejpeg.decode_jpeg(content, space, **options), ""
    except ValueError as error:
        problem = str(error)
    if "Premature end of JPEG" in problem:
        # With an end marker added, the strict decoder accepts a whole image, and refuses one whose data ends early.
        with contextlib.suppress(ValueError):
            return _simplejpeg.decode_jpeg(content + END_OF_IMAGE, space, **options), NO_END
    if "premature end" in problem.lower():
        raise _cut_error()
    return None, STRAY if problem.startswith("Corrupt JPEG data") else ""


def _cut_error() -> ImageError:
    return ImageError("the image data ends early", reason=CUT)


@contextlib.contextmanager
def _pillow_image(content: bytes) -> Iterator[PillowImage.Image]:
    """Open an image by Pillow; turn the errors of opening it and of the ``with`` block into ImageErrors."""
    try:
        with _open(content) as image:
            yield image
    except UnidentifiedImageError:
        kind = sniff(content)
        reason = kind if kind in (EMPTY, NOT_AN_IMAGE) else "does not decode"
        raise ImageError("holds no image that can be read", reason=reason) from None
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise errors of any class for damaged bytes
        is_cut = "truncated" in str(error)
        if is_cut and sniff(content) == "JPEG":
            raise _cut_error() from None
        raise ImageError(f"does not decode: {error}", reason=CUT if is_cut else "does not decode") from None


def _open(content: bytes) -> PillowImage.Image:
    # Pillow warns about odd metadata, which changes no pixel. Its limit on the size of images is lifted, as ours is
    # checked when an image is decoded, so that the header of a larger one can still be read.
    with _OPEN_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Read under the lock, as another thread in this function has lifted the limit until it leaves.
        limit = PillowImage.MAX_IMAGE_PIXELS
        try:
            PillowImage.MAX_IMAGE_PIXELS = None
            return PillowImage.open(io.BytesIO(content))
        finally:
            PillowImage.MAX_IMAGE_PIXELS = limit


def _sixteen_bit_color(content: bytes) -> Image | None:
    """Pixels of a 16-bit colour PNG as uint16 by OpenCV, as Pillow drops the low bytes.

    None for any other PNG, and if OpenCV is not installed.
    """
    depth, color_type = content[24:26] if len(content) > _PNG_IHDR_END else (0, 0)
    if depth != 16 or color_type not in _PNG_COLOR_TYPES:
        return None
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return None
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageError("does not decode")
    return np.ascontiguousarray(pixels[:, :, [2, 1, 0, *range(3, pixels.shape[2])]])


def _eight_bit(image: PillowImage.Image, color: int, kind: str, gamma: int) -> Image:
    """Pixels of *image*, of a file of format *kind*, as uint8: one channel if *color* is ``GREY``, else three."""
    if image.mode in _SIXTEEN_BIT_MODES:
        image = PillowImage.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if "transparency" in image.info and image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB, Pillow warns about alpha given as bytes
    if color != GREY:
        return np.asarray(image.convert("RGB"))
    if image.mode in _GREY_MODES or kind in _JPEG_FORMATS:
        return np.asarray(image.convert("L"))[:, :, None]
    return grey(np.asarray(image.convert("RGB")), kind, gamma)


def _gamma(image: PillowImage.Image) -> int:
    """Gamma given in a PNG, in 100000ths; 0 if none is."""
    return SRGB_GAMMA if "srgb" in image.info else round(100_000 * image.info.get("gamma", 0))


def _as_stored(image: PillowImage.Image) -> Image:
    """Pixels of *image* with its own number of channels and, if it is grey, its own depth."""
    if image.mode in _SIXTEEN_BIT_MODES:
        return np.asarray(image).astype(np.uint16)[:, :, None]
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))[:, :, None]
    has_alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
