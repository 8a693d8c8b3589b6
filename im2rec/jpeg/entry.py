"""The three compiled functions that Python calls, and the types they are compiled for."""

from __future__ import annotations

from typing import Any

from numba import types

from im2rec.jpeg import decoder, entropy, scale, tables
from im2rec.jpeg.kernel import Sizes

SIZES = Sizes(
    table=tables.TABLE_SIZE,
    lanes=entropy.LANES,
    reach=entropy.REACH,
    spare=entropy.SPARE,
    image=decoder.IMAGE_SIZE,
    state=entropy.STATE_SIZE,
)


def _flat(of: Any, **options: Any) -> Any:
    return types.Array(of, 1, "C", **options)


_FILE, _GIVEN, _SAMPLES = _flat(types.uint8, readonly=True), _flat(types.int32, readonly=True), _flat(types.uint8)
_EACH, _VALUES = _flat(types.float32, readonly=True), _flat(types.float32)
_CROP, _SCALE = types.UniTuple(types.int64, 6), types.UniTuple(types.int64, 7)
_MEMORY = (
    *(types.Array(types.int64, 2, "C"), _flat(types.uint64), _SAMPLES, _flat(types.int16), _flat(types.int32)),
    *(_SAMPLES, _flat(types.uint32), _flat(types.uint16), _SAMPLES, _flat(types.uint16)),
)
_SCRATCH = (_flat(types.int16), _flat(types.int32), _flat(types.float32))  # of scaling
_OUT = (_SAMPLES, _VALUES, _EACH, _EACH)
_DECODE = types.int64(
    *(_FILE, types.int64, _flat(types.int64, readonly=True), _GIVEN, _GIVEN, _CROP, _SCALE),
    *(*_MEMORY, *_SCRATCH, *_OUT),
)
_RESIZE = types.void(_FILE, _SCALE, _SAMPLES, *_SCRATCH, *_OUT)
_FILL_TABLE = types.void(_FILE, _FILE, types.boolean, _flat(types.int32))


def decode(
    content, start, image, tables, quanta, crop, scaling,
    plan, state, data, coefs, work, strips, strips_4, sums, rows, pairs,
    halves, numbers, floats, levels, values, mean, factor,
):  # fmt: skip
    """Decode a crop of an image; see :func:`decoder.decode_crop`."""
    return decoder.decode_crop(
        content, start, image, tables, quanta, crop, scaling,
        plan, state, data, coefs, work, strips, strips_4, sums, rows, pairs,
        halves, numbers, floats, levels, values, mean, factor,
    )  # fmt: skip


def fill_table(counts, symbols, is_dc, out):
    """Fill the look-up tables of a Huffman table; see :func:`tables.fill_table`."""
    tables.fill_table(counts, symbols, is_dc, out)


def resize(image, scaling, rows, halves, numbers, floats, levels, values, mean, factor):
    """Resize an image; see :func:`scale.resize_image`."""
    scale.resize_image(image, scaling, rows, halves, numbers, floats, levels, values, mean, factor)


FUNCTIONS = (decode, _DECODE), (fill_table, _FILL_TABLE), (resize, _RESIZE)  # to be compiled, with their signatures
