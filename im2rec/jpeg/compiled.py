"""Compilation of the decoder's functions. The modules that import this one are imported by ``load`` alone.

The decorators differ in what checks the indices of a function:

* ``BOUNDS_CHECKED`` is for functions that touch bytes of a file or build look-up tables from them. numba checks each
  index, and one out of bounds raises IndexError, whatever a file holds.
* ``PROVEN_BOUNDS`` is for the loops over the bits. A check or a mask beside each of their few indices keeps it within
  bounds, at a tenth of the cost of numba's checks.
* ``PIXEL_LOOP`` is for the loops over coefficients, samples and pixels, whose extents the decoder computes from the
  size of the image. ``PIXEL_LOOP_INLINE`` is for those of them that are called at one place: compiled as a part of
  their caller, which takes less time than compiling them alone first.

With ``NUMBA_BOUNDSCHECK=1`` in the environment, as in tests/faults, numba checks every index in all of them.

Two habits of numba shape the code. An index of a signed type may be negative, which Python counts from the end. The
test for that costs a branch and keeps a loop from becoming vector instructions, so all indices are cast to unsigned
(``u64``). And the sum of two numbers of 32 bits has 64; ``i32`` around each step keeps the lanes of a vector narrow.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

# Without reference counts (_nrt): nothing is allocated, and the arrays are the caller's. Without wrappers: Python calls
# only the functions of entry.py, and wrappers for the others would only lengthen the compilation.
_OPTIONS: dict[str, Any] = {
    "nopython": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
BOUNDS_CHECKED: Any = numba.jit(**_OPTIONS, boundscheck=True)
PROVEN_BOUNDS: Any = numba.jit(**_OPTIONS, forceinline=True)
PIXEL_LOOP: Any = numba.jit(**_OPTIONS)
PIXEL_LOOP_INLINE: Any = numba.jit(**_OPTIONS, inline="always")
u64, u32, u16, u8 = np.uint64, np.uint32, np.uint16, np.uint8
i64, i32, i16 = np.int64, np.int32, np.int16
f64, f32 = np.float64, np.float32
_WORD = ir.IntType(64)


# Intrinsics, for what Python cannot express: a load or store of eight bytes at any offset, the count of leading zeros,
# a prefetch, and a sum of products that is one vector instruction. They check no index; their callers do.


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any, of: Any = _WORD) -> Any:
    base = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(base, [at]), of.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load_eight(_: Any, data: Any, at: Any) -> Any:
    """The eight bytes of *data* from *at* on as one number, the first at the top; for little-endian machines."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = builder.load(_pointer(context, builder, signature.args[0], *values), align=1)
        return builder.bswap(word)

    return types.uint64(data, at), build


@intrinsic  # type: ignore[untyped-decorator]
def store_eight(_: Any, data: Any, at: Any, word: Any) -> Any:
    """Write the eight bytes of *word*, the top one first, to *data* from *at* on; for little-endian machines."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], *values[:2])
        builder.store(builder.bswap(values[2]), place, align=1)
        return context.get_dummy_value()

    return types.void(data, at, word), build


@intrinsic  # type: ignore[untyped-decorator]
def leading_zeros(_: Any, word: Any) -> Any:
    """The number of bits of 0 at the top of a word of 64 bits; 64 for the word 0."""

    def build(context: Any, builder: Any, _: Any, values: Any) -> Any:
        return builder.ctlz(values[0], context.get_constant(types.boolean, 0))

    return types.uint64(word), build


CACHE_LINE = 16  # values of 32 bits that a processor loads into its caches together: 64 bytes


@intrinsic  # type: ignore[untyped-decorator]
def prefetch_line(_: Any, values: Any, at: Any) -> Any:
    """Prefetch the cache line that holds element *at* of *values*, which will be written; does not wait for it.

    A prefetch never faults, so the offset may lie past the end of the array.
    """

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], given[0], given[1], ir.IntType(8))
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(fetch, [place, number(1), number(3), number(1)])  # for writing; into all caches; data, not code
        return context.get_dummy_value()

    return types.void(values, at), build


BLEND_WIDTH = 8  # pixels that blend_pixels writes: a channel of 16-bit numbers fills 128 bits


def _vector(bits: int, count: int) -> Any:
    return ir.VectorType(ir.IntType(bits), count)


def _shuffle(builder: Any, vector: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(
        vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(_vector(32, len(order)), order)
    )


@intrinsic  # type: ignore[untyped-decorator]
def blend_pixels(_: Any, numbers: Any, at: Any, count: Any, pixels: Any, halves: Any, to: Any) -> Any:
    """Write eight weighted sums of two adjacent pixels to *halves* from *to* on, each channel *count* apart.

    A pixel is four bytes of *numbers*, which start at *pixels*; the fourth byte is not used. *numbers* has from *at* on
    the position of the first pixel of each sum, and *count* after it the weights of both pixels, the second one's in
    the upper half. Sums drop their four lowest bits, so that they fit 16 bits.
    """

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        numbers, at, count, pixels, halves, to = values

        def load(where: Any, of: Any) -> Any:
            return builder.load(_pointer(context, builder, signature.args[0], numbers, where, of), align=4)

        pairs = []
        for i in range(BLEND_WIDTH):
            place = builder.zext(load(builder.add(at, _WORD(i)), ir.IntType(32)), _WORD)
            pairs.append(load(builder.add(pixels, place), _vector(8, 8)))
        while len(pairs) > 1:
            order = list(range(2 * pairs[0].type.count))
            both = ir.Constant(_vector(32, len(order)), order)
            pairs = [builder.shuffle_vector(*two, both) for two in zip(pairs[::2], pairs[1::2], strict=True)]
        # Adjacent products of 16 bits, added in pairs: LLVM makes them one instruction, pmaddwd, on x86.
        levels = _shuffle(builder, pairs[0], [8 * i + c for i in range(BLEND_WIDTH) for c in (0, 4, 1, 5, 2, 6, 3, 7)])
        weights = _shuffle(
            builder, load(builder.add(at, count), _vector(32, BLEND_WIDTH)), [i // 4 for i in range(4 * BLEND_WIDTH)]
        )
        weights = builder.bitcast(weights, _vector(16, 8 * BLEND_WIDTH))
        wide = _vector(32, 8 * BLEND_WIDTH)
        shares = builder.mul(builder.zext(levels, wide), builder.sext(weights, wide), flags=["nsw"])
        first, second = (_shuffle(builder, shares, list(range(c, 8 * BLEND_WIDTH, 2))) for c in (0, 1))
        sums = builder.ashr(
            builder.add(first, second), ir.Constant(_vector(32, 4 * BLEND_WIDTH), [4] * 4 * BLEND_WIDTH)
        )
        sums = builder.trunc(sums, _vector(16, 4 * BLEND_WIDTH))
        for c in range(3):
            place = builder.add(to, builder.mul(count, _WORD(c)))
            out = _pointer(context, builder, signature.args[4], halves, place, _vector(16, BLEND_WIDTH))
            builder.store(_shuffle(builder, sums, list(range(c, 4 * BLEND_WIDTH, 4))), out, align=2)
        return context.get_dummy_value()

    return types.void(numbers, at, count, pixels, halves, to), build
