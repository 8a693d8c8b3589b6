"""Turn one line of a list into one framed record: the part of packing that runs in parallel.

For each line :func:`pack_chunk` takes these steps:

1. :class:`im2rec.packing.image_files.ImageFolder` reads the image file.
2. :func:`store_image` returns the bytes to store: the file itself with ``unchanged``, otherwise the result of
   :func:`decode_image`, :func:`resize_image` (crop, then scale) and :func:`encode_image`. For an upright JPEG the
   compiled decoder does the first two at once, in :func:`_resized_by_kernel`, with the same pixels.
3. :func:`_encode_payload` adds the image header and the labels; ``encode_record`` frames the payload.

The EXIF orientation is applied in step 2, where :func:`decode_image` calls :func:`im2rec.images.codec.decode`: the
image is upright before it is cropped or resized. Images that are stored ``unchanged`` or with ``color=-1`` are not
turned, and the note ``NOT_TURNED`` counts those that are not upright.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL
from PIL import features

from im2rec.errors import ImageError, ListFormatError, RecordTooLargeError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import encode_record
from im2rec.hashing import hash64
from im2rec.images.choices import AUTO, RANDOM
from im2rec.images.codec import COLOR, JPEG_DECODER, Image, decode, image_info, is_transposed, is_turned, orientation
from im2rec.images.engine import Engine, auto_interpolation, center_square, load_engine, resized_long, resized_short
from im2rec.images.limits import check_scaled, most_pixels
from im2rec.images.opening import check_kind, has_more_frames
from im2rec.images.signatures import sniff
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import LoadResult, load
from im2rec.packing.image_files import ImageFolder
from im2rec.packing.list_reader import Entry
from im2rec.packing.params import PackParams
from im2rec.packing.report import TOO_LARGE, BadImage, PackedChunk, bad_line

# JPEGs that a process packs before it loads the compiled decoder: loading takes a third of a second, which some 1,500
# further images make up for.
_KERNEL_AFTER_IMAGES = 4000
TOO_LONG = "a side too long for a JPEG"
NOT_TURNED, DRAFTED = "EXIF orientation not applied", "decoded at reduced scale"
SCALED, MORE_FRAMES = "with 16 bits scaled to 8", "with more frames or pages, of which only the first is stored"
_MAX_SIDES = {".jpg": 65_500}  # pixels; libjpeg refuses more, and the format itself ends at 65,535


class DecodedImage(NamedTuple):
    """A decoded image file: its pixels, its width and height at full scale, and the notes for the report.

    With ``draft`` the pixels may be fewer than *full_size* says.
    """

    pixels: Image
    full_size: tuple[int, int]
    notes: list[str]


def pack_chunk(
    entries: Sequence[Entry], folder: ImageFolder, params: PackParams, *, verify: bool = False, measure: bool = False
) -> PackedChunk:
    """Read, decode, crop, resize, encode and frame the images of *entries*, which are in *folder*.

    A bad line or image is reported in the chunk, never raised. With *verify*, images that are stored unchanged are
    decoded too, to find damaged ones. With *measure* the sizes of the stored images are counted; one whose header does
    not give a size is bad.
    """
    started = time.perf_counter()
    chunk = PackedChunk(jpeg_decoder=JPEG_DECODER)
    for entry in entries:
        if isinstance(entry, ListFormatError):
            chunk.lines.append(bad_line(entry))
            continue
        try:
            content = folder.read(entry.path)
            chunk.bytes_in += len(content)
            stored, notes = store_image(content, entry.id, params)
            if verify and params.unchanged:
                notes = [*notes, *filter(None, [decode(content, max_pixels=params.max_pixels).flaw])]
            size = image_info(stored)[1:3] if measure else None
            chunk.frames.append((entry.id, encode_record(_encode_payload(entry, stored, params))))
        except ImageError as error:
            chunk.lines.append(BadImage(entry.line, entry.id, entry.path, error.reason, str(error)))
        except RecordTooLargeError as error:
            chunk.lines.append(BadImage(entry.line, entry.id, entry.path, TOO_LARGE, error.problem))
        else:
            chunk.notes.update(notes)
            chunk.sizes.update([size] if size else [])
            chunk.lines.append(None)
    chunk.engine = "" if params.unchanged else load_engine(params.engine).name
    chunk.kernel = _describe_kernel(params)
    chunk.libraries = libraries(chunk.engine) if chunk.engine or verify else {}
    chunk.seconds = time.perf_counter() - started
    return chunk


def store_image(content: bytes, id_: int, params: PackParams) -> tuple[bytes, list[str]]:
    """Return the encoded image to store for the image file *content*, and the notes for the report.

    *id_* determines the interpolation of ``inter_method=10``. Raises ImageError.

    Source: mxnet tools/im2rec.py, ``image_encode``; tools/im2rec.cc for ``inter_method`` and the crop before it.
    """
    if params.unchanged:
        check_kind(content)
        return content, _notes("", is_upright=orientation(content) == 1)
    engine = load_engine(params.engine)
    image, notes = _resized_by_kernel(content, id_, params, engine), []
    if image is None:
        decoded = decode_image(content, params)
        image, notes = resize_image(decoded, id_, params, engine), decoded.notes
    return encode_image(image, params, engine), notes


def _resized_by_kernel(content: bytes, id_: int, params: PackParams, engine: Engine) -> Image | None:
    """Decode, crop and scale the JPEG *content* by the compiled decoder: uint8 (height, width, 3), R G B.

    None when the decoder is not loaded or does not support this file: it is damaged, not upright, too large, or an
    uncommon kind of JPEG. The pixels equal those of :func:`decode_image` and
    :func:`resize_image`.
    """
    if params.color != COLOR or params.draft:
        return None
    head = Kernel.checked_header(content, most_pixels("JPEG", params.max_pixels))
    kernel = None if head.reason else _kernel_if_worthwhile()
    if kernel is None:
        return None
    width, height = (min(head.width, head.height),) * 2 if params.center_crop else (head.width, head.height)
    crop = (head.height - height) // 2, (head.width - width) // 2, height, width  # the square of center_square()
    new = stored_size(head.width, head.height, params)
    _check_sides(new, params)
    try:
        if new != (width, height):
            check_scaled((head.width, head.height), new, params.max_pixels)
    except ImageError:  # not raised: an image that is damaged too is reported as that
        return None
    method = _interpolation((width, height), new, id_, params)
    # The decoder scales while it decodes only by methods that give the same pixels as the engine.
    scales = new != (width, height) and method in _kernel_methods(engine.name)
    image = np.empty((*(new[::-1] if scales else (height, width)), 3), np.uint8)
    if kernel.decode_into(content, crop, image, inter_method=method if scales else None, planes=False):
        return None
    return image if image.shape[1::-1] == new else engine.resize(image, *new, method)


@functools.cache
def libraries(engine: str) -> dict[str, str]:
    """Return the versions of the libraries that could change a byte of what is packed with *engine*, by name."""
    turbo = features.version("libjpeg_turbo") or features.version("jpg")
    found = {"engine": engine, "pillow": f"{PIL.__version__} (JPEG {turbo})", "jpeg_decoder": JPEG_DECODER}
    for name in ("cv2", "simplejpeg"):  # OpenCV decodes rare kinds with every engine
        with contextlib.suppress(ImportError):
            found[name] = str(getattr(importlib.import_module(name), "__version__", "of unknown version"))
    return found


_kernel_candidates = itertools.count()


def _kernel_if_worthwhile() -> Kernel | None:
    """Return the compiled decoder; None for the first images of a process, as it takes many to make up for loading."""
    return _loaded().kernel if next(_kernel_candidates) >= _KERNEL_AFTER_IMAGES else None


@functools.cache
def _loaded() -> LoadResult:
    """Load the compiled decoder, once per process. Nothing is compiled: that takes longer than a run of pack."""
    return load(may_compile=False)


@functools.cache
def _kernel_methods(engine: str) -> frozenset[int]:
    """The interpolation methods by which the compiled decoder gives the same pixels as *engine*."""
    kernel = _loaded().kernel
    return kernel.scales_like(load_engine(engine).resize) if kernel else frozenset()


def _describe_kernel(params: PackParams) -> str:
    """Return the name of the compiled decoder that is in use, or "none" and the reason."""
    if params.unchanged:
        return ""
    if not _loaded.cache_info().currsize:
        return f"none: no worker has had {_KERNEL_AFTER_IMAGES} images that it supports"
    kernel, reason = _loaded()
    return kernel.name if kernel else f"none: {reason}"


def decode_image(content: bytes, params: PackParams) -> DecodedImage:
    """Decode the image file *content*, upright unless ``color`` is -1; JPEGs at a reduced scale with ``draft``.

    Raises ImageError.
    """
    full, least = _draft_sizes(content, params)
    pixels, flaw = decode(content, params.color, at_least=least, max_pixels=params.max_pixels)
    notes = _notes(flaw, is_upright=is_turned(content, params.color) or orientation(content) == 1)
    if pixels.dtype != np.uint8 and params.encoding != ".png":
        pixels = (pixels >> 8).astype(np.uint8)  # im2rec.py clips them to 255, which is white for nearly all
        notes.append(SCALED)
    if has_more_frames(content):
        notes.append(MORE_FRAMES)
    size = pixels.shape[1], pixels.shape[0]
    return DecodedImage(pixels, full or size, [*notes, DRAFTED] if full and full != size else notes)


def resize_image(decoded: DecodedImage, id_: int, params: PackParams, engine: Engine) -> Image:
    """Crop and scale *decoded* to the pixels that are stored. Raises ImageError."""
    image = center_square(decoded.pixels) if params.center_crop else decoded.pixels
    old, new = (image.shape[1], image.shape[0]), stored_size(*decoded.full_size, params)
    _check_sides(new, params)
    if new == old:
        return image
    check_scaled(decoded.full_size, new, params.max_pixels)
    return engine.resize(image, *new, _interpolation(old, new, id_, params))


def encode_image(image: Image, params: PackParams, engine: Engine) -> bytes:
    """Encode *image* in the format that the record stores."""
    return engine.encode(image, params.encoding, quality=params.quality, png_level=params.png_level)


def stored_size(width: int, height: int, params: PackParams) -> tuple[int, int]:
    """Return the width and height that an upright image of *width* x *height* is stored at."""
    if params.center_crop:
        width = height = min(width, height)
    if params.resize > 0:
        return resized_short(width, height, params.resize)
    if 0 < params.max_side < max(width, height):
        return resized_long(width, height, params.max_side)
    return width, height


def _check_sides(size: tuple[int, int], params: PackParams) -> None:
    """Raise ImageError if a side of *size*, (width, height), is longer than the encoding can store."""
    limit = _MAX_SIDES.get(params.encoding, max(size))
    if max(size) > limit:
        pixels = f"{size[0]:,} x {size[1]:,} pixels"
        problem = f"would be stored as {pixels}, but a JPEG has at most {limit:,} a side: use encoding=.png"
        raise ImageError(problem, reason=TOO_LONG)


def _draft_sizes(content: bytes, params: PackParams) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return two sizes (width, height) of a JPEG: the full one, and the smallest that it may be decoded at.

    The full size is that of the upright image, the smallest one that of the file, before the EXIF orientation. Both
    are None without ``draft`` and for other kinds of images.
    """
    if not params.draft or sniff(content) != "JPEG":
        return None, None
    _, height, width, _ = image_info(content)
    transposed = is_transposed(content, params.color)
    full = (height, width) if transposed else (width, height)
    least = stored_size(*full, params)
    return full, (least[::-1] if transposed else least)


def _notes(flaw: str, *, is_upright: bool) -> list[str]:
    """List the notes on one image; *is_upright* is True when the stored pixels are."""
    return ([flaw] if flaw else []) + ([] if is_upright else [NOT_TURNED])


def _interpolation(old: tuple[int, int], new: tuple[int, int], id_: int, params: PackParams) -> int:
    """Return the method, 0 to 4, that scales an image from the size *old* to *new*, both (width, height)."""
    if params.inter_method == AUTO:
        return auto_interpolation(old, new)
    if params.inter_method == RANDOM:
        return hash64(id_) % 5  # drawn from the id alone, so that parts and workers change no byte
    return params.inter_method


def _encode_payload(entry: ListEntry, stored: bytes, params: PackParams) -> bytes:
    """Return the payload of a record: image header, labels, encoded image.

    Several labels are stored as a vector with ``pack_label``; otherwise the header holds the first one.

    Source: mxnet tools/im2rec.cc, which also puts the first label of a vector into the header.
    """
    if params.pack_label and len(entry.labels) > 1:
        header = IRHeader(0, entry.labels, entry.id)
        return encode_image_record(header, stored, label_field=entry.labels[0])
    return encode_image_record(IRHeader(0, entry.labels[0], entry.id), stored)
