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
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from im2rec.errors import ImageError, as_bytes
from im2rec.images import bmp, jpeg
from im2rec.images.bmp import bmp_view
from im2rec.images.jpeg import END_OF_IMAGE, FIRST_TRANSPOSED, UPRIGHT, apply_orientation, parse_orientation
from im2rec.images.limits import SIXTEEN_BITS, check_jpeg, check_stored, most_pixels
from im2rec.images.opening import check_kind, cut_error, pillow_image
from im2rec.images.pillow_pixels import as_stored, canvas, eight_bit, gamma_of, in_bands
from im2rec.images.signatures import sniff
from im2rec.images.tiff import CMYK, UNSUPPORTED, TiffHeader, read_header

Image = npt.NDArray[Any]  # uint8 (height, width, channels), RGB order; uint16 only with color=-1
Room = Callable[[int], npt.NDArray[np.uint8]]  # allocates at least this number of bytes
Verdict = Callable[[bytes], "str | None"]  # checks a JPEG: CUT, STRAY, NO_END, "" for a sound one, None if unknown

AS_STORED, GREY, COLOR = -1, 0, 1
_DHT, _SOS = b"\xff\xc4", b"\xff\xda"
_END_MARKERS = END_OF_IMAGE * (1 << 15)  # 64 KiB: fills up the longest segment that may have been cut
_FORMATS_WITH_EXIF = ("JPEG", "PNG", "WebP", "TIFF")
_JPEG_CHANNELS = {"Gray": 1, "CMYK": 4, "YCCK": 4}  # three in all other colour spaces
_PNG_IHDR_END, _PNG_COLOR_TYPES = 33, (2, 4, 6)  # RGB, grey with alpha, RGBA
CUT, STRAY, NO_END, TOO_LARGE = jpeg.CUT, jpeg.STRAY, jpeg.NO_END, jpeg.TOO_LARGE

_CACHED_JPEG_HEADERS = 1024  # of at most 2 kB each

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


def image_info(content: bytes) -> ImageInfo:
    """Return format, size and channels from the header; the first few kilobytes of a file are usually enough.

    Raises ImageError if *content* is not an image, or does not contain the whole header.
    """
    kind = sniff(content)
    info = _jpeg_info(content) if kind == "JPEG" else None
    if info is not None:
        return info
    if kind == "TIFF":  # Pillow opens not all of them, and gives the turned size
        tiff = read_header(content)
        return ImageInfo(kind, tiff.height, tiff.width, tiff.samples)
    try:
        with pillow_image(content) as image:
            return ImageInfo(kind, image.height, image.width, len(image.getbands()))
    except ImageError:
        header = bmp.read_header(content) if kind == "BMP" else None
        if header is not None:  # with bit fields that only OpenCV reads
            return ImageInfo(kind, header.height, header.width, 3)
        raise


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

    The pixels are those that ImageRecordIter decodes. A bytearray, a memoryview or a flat array of uint8 is decoded as
    its bytes are.

    >>> from pathlib import Path
    >>> pixels, flaw = im2rec.decode(Path("sample_data/photos/bark/bark_01.jpg").read_bytes())
    >>> pixels.shape, pixels.dtype, flaw
    ((249, 332, 3), dtype('uint8'), '')

    *color* selects the channels, as in ``im2rec.py``: 1 gives three and 0 gives one, both turned upright by the EXIF
    orientation. -1 keeps what is stored and does not turn it, except TIFFs: one or three channels, four with alpha, and
    uint16 for images of 16 bits (those in colour only if OpenCV is installed). Otherwise alpha is dropped, not blended,
    16 bits become 8 by their high byte, and palettes become colours. Images of more bits, or of floating-point numbers,
    are refused.

    *at_least*, (width, height) before any orientation, allows decoding a JPEG at the smallest scale of libjpeg that is
    not below that size: several times faster, with slightly different pixels. *cut_ok* also accepts a JPEG whose data
    ends early: its flaw is ``cut short``, and libjpeg fills in the missing pixels.

    Inside im2rec, *room* allocates memory that the pixels may be written to; with it, the result may also be a
    read-only view of *content* with negative strides. *verdict* checks a JPEG where simplejpeg is not installed;
    without either of them, Pillow overlooks damage.

    Raises ImageError, with *reason* ``cut short`` if the image data ends early, and ``too many pixels`` if the header
    claims more than *max_pixels*, or without it an image that needs more than 1 GiB: a few bytes can claim gigabytes.

    Source: OpenCV ``imread`` as mxnet tools/im2rec.py calls it, and ``imdecode`` as ImageRecordIter does.
    """
    content = as_bytes(content, "an image")
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


def to_uint8(pixels: Image) -> Image:
    """Return *pixels* as uint8: of 16 bits as they are stored, the high byte; uint8 itself."""
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


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
            raise cut_error()
        if flaw == NO_END:
            content += END_OF_IMAGE
    tiff = check_kind(content)
    if _differs_by_pillow(kind, content, color, tiff):
        pixels = _decoded_by_opencv(content, color, max_pixels, tiff)
        if pixels is not None:
            return Decoded(pixels)
        if tiff is not None and tiff.is_wrong_by_pillow:
            problem = f"is a TIFF of {tiff.described}, which cannot be read here: convert it to plain RGB or grey first"
            raise ImageError(problem, reason=UNSUPPORTED)
    return _decoded_by_pillow(content, color, at_least, max_pixels)._replace(flaw=flaw)


def _decoded_by_pillow(content: bytes, color: int, at_least: tuple[int, int] | None, max_pixels: int | None) -> Decoded:
    with pillow_image(content) as image:
        kind = image.format or ""
        if kind == "JPEG":
            check_jpeg(content, image.size, at_least, max_pixels)
            image.draft("L" if color == GREY else None, at_least or image.size)
        else:
            check_stored(kind, canvas(image), max_pixels)
        if color == AS_STORED:
            return Decoded(in_bands(image, as_stored))
        gamma = gamma_of(image)  # read here, as parts of images have neither this nor a format
        pixels = in_bands(image, lambda band: eight_bit(band, kind, gamma, is_grey=color == GREY))
        turn = _pillow_orientation(image)
        image.close()  # frees its memory before the image is turned
    return Decoded(apply_orientation(pixels, turn))


def _differs_by_pillow(kind: str, content: bytes, color: int, tiff: TiffHeader | None) -> bool:
    """True for the variants of which Pillow gives other pixels than OpenCV, or none."""
    if kind == "PNG":  # of 16-bit colours Pillow drops the low bytes
        depth, color_type = content[24:26] if len(content) > _PNG_IHDR_END else (0, 0)
        return color != COLOR and depth == 16 and color_type in _PNG_COLOR_TYPES
    if kind == "BMP":
        header = bmp.read_header(content)
        return header is not None and header.bits in (16, 32)
    return kind == "PPM" or (tiff is not None and not tiff.is_plain)


def _decoded_by_opencv(content: bytes, color: int, max_pixels: int | None, tiff: TiffHeader | None) -> Image | None:
    """Pixels by OpenCV; None if it is not installed or declines. Raises ImageError for a damaged file."""
    opencv = _opencv()
    # OpenCV returns uninitialised memory for 16 bits in separate planes as they are stored.
    if opencv is None or (color == AS_STORED and tiff is not None and tiff.is_separate and tiff.bits > 8):
        return None
    info = image_info(content)
    is_deep = color == AS_STORED and (tiff is None or tiff.bits > 8)
    check_stored(SIXTEEN_BITS if is_deep else info.kind, (info.width, info.height), max_pixels)
    if tiff is not None and tiff.end > len(content):
        raise cut_error()
    if info.kind in ("TIFF", "PNG"):
        _refuse_damaged(content, max_pixels)
    if tiff is not None and tiff.photometric == CMYK and color == AS_STORED:
        color = COLOR  # as no image has these four channels
    pixels: Image | None = opencv.decode(content, color)
    if pixels is None or tiff is not None:  # OpenCV turns TIFFs itself
        return pixels
    return apply_orientation(pixels, UPRIGHT if color == AS_STORED else orientation(content))


def _refuse_damaged(content: bytes, max_pixels: int | None) -> None:
    """Raise ImageError for damage that Pillow finds, as OpenCV may return pixels without a word, and for huge tiles."""
    is_known = False
    try:
        with pillow_image(content) as image:
            is_known = True
            check_stored(image.format or "", canvas(image), max_pixels)
            image.load()
    except ImageError:
        if is_known:
            raise


@functools.cache
def _opencv() -> Any:
    """Return the module of the OpenCV engine, imported when it is first needed; None if OpenCV is not installed."""
    try:
        return importlib.import_module("im2rec.images.opencv")
    except ImportError:
        return None


def orientation(content: bytes) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1, upright, if none is given."""
    kind = sniff(content)
    if kind == "JPEG":
        return parse_orientation(jpeg.exif(content))
    with contextlib.suppress(ImageError):
        if kind == "TIFF":
            return read_header(content).orientation
        if kind in _FORMATS_WITH_EXIF:
            with pillow_image(content) as image:
                return _pillow_orientation(image)
    return UPRIGHT


def is_turned(content: bytes, color: int = COLOR) -> bool:
    """True if :func:`decode` applies the EXIF orientation with *color*: TIFFs are always turned, as OpenCV does."""
    return color != AS_STORED or sniff(content) == "TIFF"


def is_transposed(content: bytes, color: int = COLOR) -> bool:
    """True if :func:`decode` exchanges the width and height of an image because of its EXIF orientation."""
    return is_turned(content, color) and orientation(content) >= FIRST_TRANSPOSED


def _pillow_orientation(image: PillowImage.Image) -> int:
    if image.format == "TIFF":  # Pillow has turned it
        return UPRIGHT
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
        raise cut_error()
    return None, STRAY if problem.startswith("Corrupt JPEG data") else ""
