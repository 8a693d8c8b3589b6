"""How the functions of this package are compiled; the modules that import this one are imported by ``load`` alone.

``READS_FILE`` is for what touches bytes of a file or builds look-ups from them: numba checks each index, and one out
of bounds raises IndexError, whatever a file holds. ``PROVEN`` is for the loops over the bits: their few indices are
kept within bounds by a check or a mask that is written beside them, which costs a tenth of what numba's checks cost.
``PIXELS`` is for the loops behind, whose extents the decoder computes from the size of the image; ``PIXELS_ONCE`` for
functions that are called at one place and compiled as a part of it, which takes less time than compiling them first
alone. With ``NUMBA_BOUNDSCHECK=1`` in the environment, as in the tests, numba checks every index in all of them.

Two habits of numba shape the code. An index of a signed type may be negative, which Python counts from the end; that
test costs a branch and keeps a loop from being made of vector instructions, so all indices are cast to unsigned
(``u64``). And the sum of two numbers of 32 bits is one of 64; ``i32`` around each step keeps a lane of a vector narrow.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

# Without reference counts (_nrt): nothing is allocated, and the arrays are the caller's. Without wrappers: Python calls
# none of these functions, only those of entry.py.
_OPTIONS: dict[str, Any] = {
    "nopython": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
READS_FILE: Any = numba.jit(**_OPTIONS, boundscheck=True)
PROVEN: Any = numba.jit(**_OPTIONS, forceinline=True)
PIXELS: Any = numba.jit(**_OPTIONS)
PIXELS_ONCE: Any = numba.jit(**_OPTIONS, inline="always")
u64, u32, u16, u8 = np.uint64, np.uint32, np.uint16, np.uint8
i64, i32, i16 = np.int64, np.int32, np.int16
f64, f32 = np.float64, np.float32
_WORD = ir.IntType(64)


# What has no name in Python: one load or store of eight bytes anywhere, the zeros at the top of a word, and a sum that
# vector instructions take in one step. They check nothing; they are called by functions that do.


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any, of: Any = _WORD) -> Any:
    base = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(base, [at]), of.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load_eight(_: Any, data: Any, at: Any) -> Any:
    """The eight bytes of *data* from *at* on, the first at the top of the number; for little-endian machines."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = builder.load(_place(context, builder, signature.args[0], *values), align=1)
        return builder.bswap(word)

    return types.uint64(data, at), build


@intrinsic  # type: ignore[untyped-decorator]
def store_eight(_: Any, data: Any, at: Any, word: Any) -> Any:
    """The opposite."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], *values[:2])
        builder.store(builder.bswap(values[2]), place, align=1)
        return context.get_dummy_value()

    return types.void(data, at, word), build


@intrinsic  # type: ignore[untyped-decorator]
def leading_zeros(_: Any, word: Any) -> Any:
    """How many bits at the top of a word of 64 bits are 0."""

    def build(context: Any, builder: Any, _: Any, values: Any) -> Any:
        return builder.ctlz(values[0], context.get_constant(types.boolean, 0))

    return types.uint64(word), build


LINE = 16  # values of 32 bits that the processor brings into its caches together


@intrinsic  # type: ignore[untyped-decorator]
def fetch_line(_: Any, values: Any, at: Any) -> Any:
    """Have the line around a value brought into the caches to be written, and do not wait for it.

    The place may lie behind the end.
    """

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        place = _place(context, builder, signature.args[0], given[0], given[1], ir.IntType(8))
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(fetch, [place, number(1), number(3), number(1)])  # to write, into all caches, data
        return context.get_dummy_value()

    return types.void(values, at), build


MIXED = 8  # pixels that mix_pixels writes


def _vector(bits: int, count: int) -> Any:
    return ir.VectorType(ir.IntType(bits), count)


def _shuffled(builder: Any, vector: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(
        vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(_vector(32, len(order)), order)
    )


@intrinsic  # type: ignore[untyped-decorator]
def mix_pixels(_: Any, numbers: Any, at: Any, count: Any, pixels: Any, halves: Any, to: Any) -> Any:
    """Write eight mixtures of two pixels that lie side by side, as numbers of 16 bits, each channel *count* apart.

    A pixel is four bytes of *numbers*, from *pixels* on, the last of which is not used. At *at* are the places of the
    first of the two, and *count* behind them the weights of both, the second one's above; they take four bits less.
    """

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        numbers, at, count, pixels, halves, to = values

        def load(where: Any, of: Any) -> Any:
            return builder.load(_place(context, builder, signature.args[0], numbers, where, of), align=4)

        pairs = []
        for i in range(MIXED):
            place = builder.zext(load(builder.add(at, _WORD(i)), ir.IntType(32)), _WORD)
            pairs.append(load(builder.add(pixels, place), _vector(8, 8)))
        while len(pairs) > 1:
            order = list(range(2 * pairs[0].type.count))
            both = ir.Constant(_vector(32, len(order)), order)
            pairs = [builder.shuffle_vector(*two, both) for two in zip(pairs[::2], pairs[1::2], strict=True)]
        # Sums of two products of 16 bits, side by side, are one instruction (pmaddwd) where the processor has it.
        levels = _shuffled(builder, pairs[0], [8 * i + c for i in range(MIXED) for c in (0, 4, 1, 5, 2, 6, 3, 7)])
        weights = _shuffled(
            builder, load(builder.add(at, count), _vector(32, MIXED)), [i // 4 for i in range(4 * MIXED)]
        )
        weights = builder.bitcast(weights, _vector(16, 8 * MIXED))
        wide = _vector(32, 8 * MIXED)
        shares = builder.mul(builder.zext(levels, wide), builder.sext(weights, wide), flags=["nsw"])
        first, second = (_shuffled(builder, shares, list(range(c, 8 * MIXED, 2))) for c in (0, 1))
        sums = builder.ashr(builder.add(first, second), ir.Constant(_vector(32, 4 * MIXED), [4] * 4 * MIXED))
        sums = builder.trunc(sums, _vector(16, 4 * MIXED))
        for c in range(3):
            place = builder.add(to, builder.mul(count, _WORD(c)))
            out = _place(context, builder, signature.args[4], halves, place, _vector(16, MIXED))
            builder.store(_shuffled(builder, sums, list(range(c, 4 * MIXED, 4))), out, align=2)
        return context.get_dummy_value()

    return types.void(numbers, at, count, pixels, halves, to), build
