"""Arrays, by the names of ``mxnet.ndarray``: the class NDArray, and functions that make, move and join arrays.

::

    from im2rec.mx import nd

    batch = nd.empty((2, 3, 112, 112))
    batch[0][:] = nd.transpose(image, axes=(2, 0, 1))

Functions that take arrays take NumPy's as well. Their results are new arrays, except where it says so.

Source: mxnet python/mxnet/ndarray; measured on MXNet 1.9.1.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from im2rec.errors import InputError, ParameterError, as_bytes
from im2rec.format.ndarrayfile import NamedArray, decode_arrays, encode_arrays
from im2rec.mx.arithmetic import Array, converted, is_number
from im2rec.mx.arrays import Axes, NDArray, checked_dtype, plain, wrapped
from im2rec.mx.context import Context, context_of
from im2rec.mx.missing import missing
from im2rec.storage.files import PathLike, read_file, reading, with_path
from im2rec.storage.output import AtomicFile

__path__: list[str] = []  # so that `from mxnet.ndarray import x` asks the finders, which say what is there
ndarray = sys.modules[__name__]  # MXNet's module of this name within its package
__all__ = [
    "NDArray",
    "arange",
    "argsort",
    "array",
    "clip",
    "concat",
    "concatenate",
    "empty",
    "expand_dims",
    "flip",
    "full",
    "load",
    "load_frombuffer",
    "ones",
    "ones_like",
    "reshape",
    "save",
    "slice_axis",
    "sort",
    "squeeze",
    "stack",
    "swapaxes",
    "transpose",
    "waitall",
    "zeros",
    "zeros_like",
]
Shape = int | Sequence[int]


def array(source_array: Any, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """Return a copy of *source_array*, an array or nested sequences of numbers, as an NDArray.

    Without *dtype* it is float32, of whatever type the numbers are; a copy of an NDArray keeps its type. For integer
    types, decimals are cut off, and what is out of range wraps around. Raises ParameterError for rows of different
    lengths, for what is not numbers, and for types that MXNet's arrays cannot have.
    """
    if dtype is None and isinstance(source_array, NDArray):
        dtype = source_array.dtype
    dtype = checked_dtype(dtype)
    try:
        values = np.array(source_array)  # a copy: the caller may change the source
        if values.dtype.kind not in "biuf":
            raise TypeError  # noqa: TRY301 - as NumPy does for most others
    except (TypeError, ValueError):
        hint = "rows of equal length, of numbers" if isinstance(source_array, Sequence) else ""
        problem = f"an array cannot be made of {type(source_array).__name__}"
        raise ParameterError(problem, hint=hint) from None
    return wrapped(converted(values, dtype), context_of(ctx))


def _made(make: Callable[[tuple[int, ...], Any], Array], shape: Shape, ctx: Context | None, dtype: Any) -> NDArray:
    sizes = (shape,) if is_number(shape) else shape
    try:
        checked = tuple(map(operator.index, sizes))  # type: ignore[arg-type]
    except TypeError:
        checked = ()
    if not checked or min(checked) < 1:
        raise ParameterError(f"shape={shape} must be one or more integers, each 1 or more")
    return wrapped(make(checked, checked_dtype(dtype)), context_of(ctx))


def empty(shape: Shape, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """Return a new array of *shape* with any values, to be filled. Raises ParameterError."""
    return _made(np.empty, shape, ctx, dtype)


def zeros(shape: Shape, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """Return a new array of *shape* of zeros. Raises ParameterError."""
    return _made(np.zeros, shape, ctx, dtype)


def ones(shape: Shape, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """Return a new array of *shape* of ones. Raises ParameterError."""
    return _made(np.ones, shape, ctx, dtype)


def full(shape: Shape, val: float, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """Return a new array of *shape* of the number *val*. Raises ParameterError."""
    return _made(lambda sizes, kind: np.full(sizes, converted(val, kind)), shape, ctx, dtype)


def zeros_like(data: Any) -> NDArray:
    """Return zeros of the shape and type of *data*."""
    return wrapped(np.zeros_like(plain(data)))


def ones_like(data: Any) -> NDArray:
    """Return ones of the shape and type of *data*."""
    return wrapped(np.ones_like(plain(data)))


def arange(
    start: float, stop: float | None = None, step: float = 1, *, ctx: Context | None = None, dtype: Any = None
) -> NDArray:
    """Return the numbers from *start*, or from 0 if *stop* is not given, up to, not including, the other one."""
    first, last = (0, start) if stop is None else (start, stop)
    return wrapped(converted(np.arange(first, last, step), checked_dtype(dtype)), context_of(ctx))


def transpose(data: Any, axes: Sequence[int] = ()) -> NDArray:
    """Return *data* with its axes in the order *axes*; reversed without them."""
    return _as_ndarray(data).transpose(axes=tuple(axes))


def flip(data: Any, axis: Axes) -> NDArray:
    """Return *data* with the order of the values along *axis*, one or several, reversed."""
    return _as_ndarray(data).flip(axis)


def swapaxes(data: Any, dim1: int = 0, dim2: int = 0) -> NDArray:
    """Return *data* with two axes exchanged."""
    return _as_ndarray(data).swapaxes(dim1, dim2)


def slice_axis(data: Any, axis: int, begin: int, end: int | None) -> NDArray:
    """Return the values of *data* from *begin* up to, not including, *end* along *axis*; None is the end.

    Numbers below 0 count from the end. Raises ParameterError for a slice that is empty or goes beyond the array.
    """
    return _as_ndarray(data).slice_axis(axis, begin, end)


def reshape(data: Any, shape: Shape, reverse: bool = False) -> NDArray:
    """Return the values of *data* in another shape; sizes up to 0 are MXNet's codes, see :meth:`NDArray.reshape`."""
    return _as_ndarray(data).copy().reshape((shape,) if is_number(shape) else shape, reverse=reverse)


def expand_dims(data: Any, axis: int) -> NDArray:
    """Return *data* with a new axis of size 1 at *axis*."""
    return _as_ndarray(data).expand_dims(axis)


def squeeze(data: Any, axis: Axes = None) -> NDArray:
    """Return *data* without its axes of size 1, or without *axis*, one or several of these."""
    return _as_ndarray(data).squeeze(axis)


def clip(data: Any, a_min: float, a_max: float) -> NDArray:
    """Return *data* with *a_min* for the values below it, and *a_max* for those above."""
    return _as_ndarray(data).clip(a_min, a_max)


def sort(data: Any, axis: int | None = -1, is_ascend: Any = True) -> NDArray:
    """Return *data* sorted along *axis*, all its values in a row for None."""
    return _as_ndarray(data).sort(axis, is_ascend)


def argsort(data: Any, axis: int | None = -1, is_ascend: Any = True, dtype: Any = "float32") -> NDArray:
    """Return the places of the values of *data* in the order of :func:`sort`, as *dtype*. Raises ParameterError."""
    return _as_ndarray(data).argsort(axis, is_ascend, dtype)


def concat(*data: Any, dim: int = 1) -> NDArray:
    """Return arrays joined along axis *dim*. Raises TypeError for a list of arrays: ``concat(*arrays)`` takes them."""
    return wrapped(np.concatenate(_operands(data, "concat"), axis=dim))


def stack(*data: Any, axis: int = 0) -> NDArray:
    """Return arrays of one shape, joined along a new *axis*. Raises TypeError for a list: ``stack(*arrays)``."""
    return wrapped(np.stack(_operands(data, "stack"), axis=axis))


def concatenate(arrays: Sequence[Any], axis: int = 0) -> NDArray:
    """Return *arrays*, a list, joined along *axis*."""
    return wrapped(np.concatenate(_operands(arrays, "concatenate"), axis=axis))


def _operands(arrays: Sequence[Any], function: str) -> list[Array]:
    """Return *arrays* as NumPy's. Raises TypeError for anything else, ParameterError for none."""
    if not arrays:
        raise ParameterError(f"{function}() needs an array or more")
    for item in arrays:
        if not isinstance(item, np.ndarray):
            raise TypeError(f"{function}() takes arrays one by one, not {type(item).__name__}")
    return list(map(plain, arrays))


def _as_ndarray(data: Any) -> NDArray:
    return data if isinstance(data, NDArray) else wrapped(plain(data))


def waitall() -> None:
    """Do nothing: values are there when an array is."""


def save(fname: PathLike, data: Any) -> None:
    """Write arrays to the file *fname*, which may exist, with the bytes that MXNet writes.

    *data* is an array, a list of arrays, or a dict of names and arrays. Raises ParameterError for anything else, and
    for an array without values, OutputError.
    """
    if isinstance(data, NDArray):
        data = [data]
    named = list(data.items()) if isinstance(data, Mapping) else [(None, item) for item in _listed(data)]
    for name, item in named:
        if not isinstance(item, NDArray) or not isinstance(name, str | None):
            problem = f"cannot save {type(item).__name__} under the name {name!r}"
            raise ParameterError(problem, hint="data is an NDArray, a list of them, or a dict of text and NDArrays")
    content = encode_arrays([NamedArray(name, plain(item)) for name, item in named])
    with AtomicFile(fname, force=True, wait=True) as file:
        file.write(content)


def _listed(data: Any) -> list[Any]:
    if not isinstance(data, list):
        problem = f"data must be an NDArray, a list of them, or a dict of text and NDArrays, not {type(data).__name__}"
        raise ParameterError(problem)
    return data


def load(fname: PathLike) -> list[NDArray] | dict[str, NDArray]:
    """Return the arrays of the file *fname*: a dict if they have names, else a list.

    Raises InputError, with path and offset, for a file that cannot be read or holds something else.
    """
    with reading(fname):
        content = read_file(fname)
    try:
        return load_frombuffer(content)
    except InputError as error:
        raise with_path(error, fname) from None


def load_frombuffer(buf: Any) -> list[NDArray] | dict[str, NDArray]:
    """Return the arrays in *buf*, the bytes of an array file, as :func:`load` does. Raises InputError."""
    arrays = decode_arrays(as_bytes(buf, "an array file"))
    named = {name: wrapped(found) for name, found in arrays if name is not None}
    if named and len(named) < len(arrays):
        raise InputError("two arrays have the same name", hint="save them under names of their own")
    return named or [wrapped(found) for _, found in arrays]


def __getattr__(name: str) -> NoReturn:
    reason = "call mx.image.imdecode()" if name == "imdecode" else ""
    raise missing("mx.nd", name, __all__, reason)
