"""One line of a list to one framed record: the work that runs in parallel."""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from im2rec.errors import ImageError, ListFormatError, RecordTooLargeError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import encode_record
from im2rec.hashing import hash64
from im2rec.images.choices import AUTO, RANDOM
from im2rec.images.codec import (
    AS_STORED,
    COLOR,
    EMPTY,
    JPEG_DECODER,
    NOT_AN_IMAGE,
    Image,
    decode,
    image_info,
    is_transposed,
    orientation,
    sniff,
)
from im2rec.images.engine import Engine, auto_interpolation, center_square, load_engine, resized_long, resized_short
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import LoadResult, load
from im2rec.packing.params import PackParams
from im2rec.packing.report import MISSING, TOO_LARGE, UNREADABLE, BadImage, PackedChunk, bad_line
from im2rec.storage.files import read_file, reason

_WORTH_LOADING = 4000  # images of a worker: to load it takes a third of a second, which some 1,500 more make up for
NOT_TURNED, DRAFTED = "EXIF orientation not applied", "decoded at reduced scale"


class DecodedImage(NamedTuple):
    """A decoded file: its pixels, the width and height that they have at full scale, and notes on it."""

    pixels: Image
    size: tuple[int, int]
    notes: list[str]


def pack_chunk(
    entries: Sequence[ListEntry | ListFormatError], root: str, params: PackParams, *, verify: bool = False
) -> PackedChunk:
    """Read, decode, crop, resize, encode and frame the images of *entries*; a bad one is reported, never raised.

    *verify* decodes images also where they are stored unchanged.
    """
    started = time.perf_counter()
    chunk = PackedChunk(jpeg_decoder=JPEG_DECODER)
    for entry in entries:
        if isinstance(entry, ListFormatError):
            chunk.lines.append(bad_line(entry))
            continue
        try:
            content = _read(root, entry.path)
            chunk.bytes_in += len(content)
            stored, notes = store_image(content, entry.id, params)
            if verify and params.unchanged:
                notes = [*notes, *filter(None, [decode(content, max_pixels=params.max_pixels).flaw])]
            chunk.frames.append((entry.id, encode_record(_payload(entry, stored, params))))
        except ImageError as error:
            chunk.lines.append(BadImage(entry.line, entry.id, entry.path, error.reason, error.problem))
        except RecordTooLargeError as error:
            chunk.lines.append(BadImage(entry.line, entry.id, entry.path, TOO_LARGE, error.problem))
        else:
            chunk.notes.update(notes)
            chunk.lines.append(None)
    chunk.engine = "" if params.unchanged else load_engine(params.engine).name
    chunk.kernel = _kernel_so_far(params)
    chunk.seconds = time.perf_counter() - started
    return chunk


def _read(root: str, path: str) -> bytes:
    try:
        return read_file(os.path.join(root, path))  # noqa: PTH118 - an absolute path stays one, at a third of Path's time
    except FileNotFoundError:
        raise ImageError("no such file", reason=MISSING) from None
    except OSError as error:
        raise ImageError(reason(error), reason=UNREADABLE) from None
    except ValueError:
        raise ImageError("a zero byte in the name", reason=UNREADABLE) from None


def store_image(content: bytes, id_: int, params: PackParams) -> tuple[bytes, list[str]]:
    """The encoded image to be stored for *content*, and notes on it. Raises ImageError.

    Source: mxnet tools/im2rec.py, ``image_encode``; tools/im2rec.cc for ``inter_method`` and the crop before it.
    """
    if params.unchanged:
        kind = sniff(content)
        if kind in (EMPTY, NOT_AN_IMAGE):
            raise ImageError(f"the file is {kind}", reason=kind)
        return content, _notes("", turned=orientation(content) == 1)
    engine = load_engine(params.engine)
    image, notes = _resized_by_kernel(content, id_, params, engine), []
    if image is None:
        decoded = decode_image(content, params)
        image, notes = resize_image(decoded, id_, params, engine), decoded.notes
    return encode_image(image, params, engine), notes


def _resized_by_kernel(content: bytes, id_: int, params: PackParams, engine: Engine) -> Image | None:
    """The pixels that are stored of a sound JPEG, as far as the compiled decoder takes it; None for others."""
    if params.color != COLOR or params.draft:
        return None
    head = Kernel.checked_header(content, params.max_pixels)
    kernel = None if head.reason else _kernel()
    if kernel is None:
        return None
    width, height = (min(head.width, head.height),) * 2 if params.center_crop else (head.width, head.height)
    crop = (head.height - height) // 2, (head.width - width) // 2, height, width
    new = stored_size(head.width, head.height, params)
    method = _interpolation((width, height), new, id_, params)
    scales = new != (width, height) and method in _same_scaling(engine.name)
    image = np.empty((*(new[::-1] if scales else (height, width)), 3), np.uint8)
    if kernel.decode_into(content, crop, image, inter_method=method if scales else None, planes=False):
        return None
    return image if image.shape[1::-1] == new else engine.resize(image, *new, method)


_handled = itertools.count()


def _kernel() -> Kernel | None:
    """The compiled decoder, from some thousand images of this process on."""
    return _loaded().kernel if next(_handled) >= _WORTH_LOADING else None


@functools.cache
def _loaded() -> LoadResult:
    return load(may_compile=False)


@functools.cache
def _same_scaling(engine: str) -> frozenset[int]:
    kernel = _loaded().kernel
    return kernel.scales_like(load_engine(engine).resize) if kernel else frozenset()


def _kernel_so_far(params: PackParams) -> str:
    """The compiled decoder that is in use, or why there is none."""
    if params.unchanged:
        return ""
    if not _loaded.cache_info().currsize:
        return f"none: no worker has had {_WORTH_LOADING} images that it might take"
    kernel, reason = _loaded()
    return kernel.name if kernel else f"none: {reason}"


def decode_image(content: bytes, params: PackParams) -> DecodedImage:
    """The image in *content*, smaller with ``draft`` where that will do. Raises ImageError."""
    full, least = _draft_sizes(content, params)
    pixels, flaw = decode(content, params.color, at_least=least, max_pixels=params.max_pixels)
    notes = _notes(flaw, turned=params.color != AS_STORED or orientation(content) == 1)
    size = pixels.shape[1], pixels.shape[0]
    return DecodedImage(pixels, full or size, [*notes, DRAFTED] if full and full != size else notes)


def resize_image(decoded: DecodedImage, id_: int, params: PackParams, engine: Engine) -> Image:
    """The pixels of *decoded* that are stored: cropped and scaled."""
    image = center_square(decoded.pixels) if params.center_crop else decoded.pixels
    old, new = (image.shape[1], image.shape[0]), stored_size(*decoded.size, params)
    return engine.resize(image, *new, _interpolation(old, new, id_, params)) if new != old else image


def encode_image(image: Image, params: PackParams, engine: Engine) -> bytes:
    """*image* as the record holds it."""
    return engine.encode(image, params.encoding, quality=params.quality, png_level=params.png_level)


def stored_size(width: int, height: int, params: PackParams) -> tuple[int, int]:
    """The width and height at which an image of *width* x *height* is stored."""
    if params.center_crop:
        width = height = min(width, height)
    if params.resize > 0:
        return resized_short(width, height, params.resize)
    if 0 < params.max_side < max(width, height):
        return resized_long(width, height, params.max_side)
    return width, height


def _draft_sizes(content: bytes, params: PackParams) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The full upright size of a JPEG, and the least size to decode it at, as it is stored; None without ``draft``."""
    if not params.draft or sniff(content) != "JPEG":
        return None, None
    _, height, width, _ = image_info(content)
    turned = is_transposed(content, params.color)
    full = (height, width) if turned else (width, height)
    least = stored_size(*full, params)
    return full, (least[::-1] if turned else least)


def _notes(flaw: str, *, turned: bool) -> list[str]:
    return ([flaw] if flaw else []) + ([] if turned else [NOT_TURNED])


def _interpolation(old: tuple[int, int], new: tuple[int, int], id_: int, params: PackParams) -> int:
    if params.inter_method == AUTO:
        return auto_interpolation(old, new)
    if params.inter_method == RANDOM:
        return hash64(id_) % 5  # of the id alone: the same in any part and with any number of workers
    return params.inter_method


def _payload(entry: ListEntry, stored: bytes, params: PackParams) -> bytes:
    """The record's payload; of several labels all with ``pack_label``, else the first.

    Source: mxnet tools/im2rec.cc, which also puts the first label of a vector into the header.
    """
    if params.pack_label and len(entry.labels) > 1:
        header = IRHeader(0, entry.labels, entry.id)
        return encode_image_record(header, stored, label_field=entry.labels[0])
    return encode_image_record(IRHeader(0, entry.labels[0], entry.id), stored)
