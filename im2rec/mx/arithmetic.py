"""MXNet's rules for operators on arrays: a number takes the type of the array first, and the result has that type.

So a comparison gives 0 and 1 in the type of the array, and dividing integers cuts off decimals.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

OPERATORS = frozenset({
    np.add, np.subtract, np.multiply, np.true_divide, np.remainder, np.power,
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
})  # fmt: skip


def converted(values: Any, dtype: npt.DTypeLike) -> Array:
    """Return *values* as an array of *dtype*: the same one if it has it.

    Decimals are cut off for an integer type, and whole numbers that it cannot hold wrap around: 300 is 44 in uint8.
    """
    array, dtype = np.asarray(values), np.dtype(dtype)
    with np.errstate(all="ignore"):
        if dtype.kind in "iu" and array.dtype.kind == "f":
            array = array.astype(np.int64)  # from there on it wraps around, on every machine alike
        return array.astype(dtype, copy=False)


def is_number(value: Any) -> bool:
    """True for a number of Python or NumPy, as opposed to an array of any shape."""
    return isinstance(value, (numbers.Number, np.generic))


def operate(ufunc: np.ufunc, operands: Sequence[Any]) -> Array:
    """Return ``ufunc(*operands)`` for a ufunc of ``OPERATORS`` and two operands, of which one is an array at least.

    A number beside an array of bools makes it int64. Two arrays of different types, which MXNet refuses, give
    what NumPy gives.

    Source: measured on MXNet 1.9.1.
    """
    arrays = [operand for operand in operands if not is_number(operand)]
    dtype = np.result_type(*arrays)
    if len(arrays) < len(operands) and dtype == np.bool_:
        dtype = np.dtype(np.int64)
    first, second = (converted(operand, dtype) for operand in operands)
    with np.errstate(all="ignore"):
        if ufunc is np.true_divide and dtype.kind in "iu":
            return _quotient(first, second)
        result: Array = np.asarray(ufunc(first, second))
        return result.astype(dtype, copy=False)


def _quotient(dividend: Array, divisor: Array) -> Array:
    """The quotient of integers, rounded towards zero as in C; NumPy rounds down."""
    down, rest = np.divmod(dividend, divisor)
    is_below = (rest != 0) & ((dividend < 0) != (divisor < 0))
    return np.asarray(down + is_below.astype(down.dtype))
