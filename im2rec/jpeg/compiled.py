"""How the functions of this package are compiled; the modules that import this one are imported by ``load`` alone.

``READS_FILE`` is for what touches bytes of a file or builds look-ups from them: numba checks each index, and one out
of bounds raises IndexError, whatever a file holds. ``PROVEN`` is for the loops over the bits: their few indices are
kept within bounds by a check or a mask that is written beside them, which costs a tenth of what numba's checks cost.
``PIXELS`` is for the loops behind, whose extents the decoder computes from the size of the picture; ``PIXELS_ONCE`` for
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


# What has no name in Python: one load or store of eight bytes anywhere, and the zeros at the top of a word. They check
# nothing; entropy.py calls them by functions that do.


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    base = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(base, [at]), context.get_value_type(types.uint64).as_pointer())


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
