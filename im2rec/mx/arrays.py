"""NDArray: a NumPy array with MXNet's methods, and its rules where they differ from NumPy's.

The operators follow MXNet (:mod:`im2rec.mx.arithmetic`), and so do the methods that are defined here. All other
methods, and the functions of NumPy and torch, take an NDArray for the NumPy array that it is.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from im2rec.errors import ParameterError
from im2rec.mx.arithmetic import OPERATORS, Array, converted, is_number, operate
from im2rec.mx.context import Context, context_of, current_context
from im2rec.mx.missing import missing
from im2rec.mx.reshaping import inferred_shape

Axes = int | Sequence[int] | None

DTYPES = tuple(map(np.dtype, ("float32", "float64", "float16", "uint8", "int8", "int32", "int64", "bool")))
# Functions of NumPy that only move values: of an NDArray they give one, as in MXNet. All others give plain arrays.
_MOVING = (np.transpose, np.reshape, np.squeeze, np.swapaxes)


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """Return *dtype* as NumPy's, float32 for None. Raises ParameterError for types that MXNet's arrays cannot have."""
    with contextlib.suppress(TypeError):
        found = np.dtype(np.float32 if dtype is None else dtype)
        if found in DTYPES:
            return found
    raise ParameterError(f"dtype={dtype} must be {', '.join(known.name for known in DTYPES)}")


def plain(array: Any) -> Array:
    """Return *array* as NumPy's own kind of array, over the same memory if it is an array already."""
    return np.asarray(array)


def wrapped(array: Array, context: Context | None = None) -> NDArray:
    """Return *array* as an NDArray: over the same memory, or a copy if its values are not in order there.

    torch takes no arrays with steps backwards, and in MXNet only parts that lie together share their memory.
    """
    new = (array if array.flags.c_contiguous else array.copy()).view(NDArray)
    if context is not None:
        new._context = context  # noqa: SLF001 - of a class of this module
    return new


class NDArray(np.ndarray[Any, Any]):
    """An array with MXNet's methods; :func:`im2rec.mx.ndarray.array` makes one.

    It is a NumPy array in the memory of the CPU, whatever its :attr:`context` says, so NumPy, torch and OpenCV take it
    without copying it. Indexing with numbers gives an array of shape (1,) rather than a scalar. Parts of it share its
    memory where MXNet's do: those whose values lie together. Indices may be arrays of floats, whose decimals are cut
    off: a comparison gives 0 and 1, and selects rows 0 and 1, in MXNet as well.

    Source: mxnet python/mxnet/ndarray/ndarray.py, ``NDArray``; measured on MXNet 1.9.1.
    """

    _context: Context
    stype = "default"

    def __array_finalize__(self, source: Any) -> None:
        context = getattr(source, "_context", None)
        self._context = current_context() if context is None else context

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # asked for by NumPy, torch and others, which need no sentence
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        function = vars(np).get(name)
        is_function = isinstance(function, np.ufunc | types.FunctionType) or hasattr(function, "__wrapped__")
        known = {"dtype", "ndim", "shape", "size", *(known for known in vars(NDArray) if not known.startswith("_"))}
        raise missing("NDArray", name, known, f"numpy.{name} takes an NDArray" if is_function else "")

    # NumPy's hooks.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", ())
        if ufunc in OPERATORS and method == "__call__" and not options:
            if (operands := _operands(inputs, ufunc.__name__)) is None:
                return NotImplemented
            result = operate(ufunc, operands)
            if not out:
                return wrapped(result, self._context)
            plain(out[0])[...] = converted(result, out[0].dtype)
            return out[0]
        if out:
            options["out"] = tuple(_unwrapped(value) for value in out)
        results = getattr(ufunc, method)(*_unwrapped(inputs), **_unwrapped(options))
        return out[0] if len(out) == 1 else self._rewrapped(results)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        results = function(*_unwrapped(args), **_unwrapped(kwargs))
        return self._rewrapped(results) if function in _MOVING else results

    def _rewrapped(self, results: Any) -> Any:
        if isinstance(results, tuple):
            return tuple(map(self._rewrapped, results))
        return wrapped(results, self._context) if isinstance(results, np.ndarray) else results

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _restored, (plain(self), self._context)

    def __deepcopy__(self, memo: Any) -> NDArray:
        return self.copy()

    # Indexing.

    def __getitem__(self, key: Any) -> NDArray:
        if isinstance(key, slice) and key == slice(None):
            return self
        key = _index(key)
        part = plain(self)[key]
        if np.ndim(part) == 0:
            key = key if isinstance(key, tuple) else (key,)
            part = plain(self)[(*key, None)]
        return wrapped(part, self._context)

    def __setitem__(self, key: Any, value: Any) -> None:
        key = _index(key)
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis not in (item for item in key if not isinstance(item, np.ndarray)):
            key = (*key, ...)  # NumPy takes an array of shape (1,) for a single value with this alone
        plain(self)[key] = converted(value, self.dtype)

    def __float__(self) -> float:
        return float(self.asscalar())

    def __int__(self) -> int:
        return int(self.asscalar())

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __repr__(self) -> str:
        return f"\n{plain(self)}\n<{type(self).__name__} {'x'.join(map(str, self.shape))} @{self._context}>"

    __str__ = __repr__

    # Copies, and where they are.

    def asnumpy(self) -> Array:
        """Return a copy as a plain NumPy array: writable, in C order."""
        return np.array(plain(self), order="C")

    def asscalar(self) -> Any:
        """Return the only value, as a scalar of NumPy. Raises ParameterError, a ValueError, for more or fewer."""
        if self.size != 1:
            raise ParameterError(f"an array of shape {self.shape} is not a scalar")
        return plain(self).reshape(-1)[0]

    @property
    def context(self) -> Context:
        """The context that the array was made in, by name only."""
        return self._context

    @property
    def ctx(self) -> Context:
        """The context that the array was made in, by name only."""
        return self._context

    def as_in_context(self, context: Context) -> NDArray:
        """Return the array itself if it is in *context*, else a copy there."""
        return self if context_of(context) == self._context else wrapped(self.asnumpy(), context)

    def copyto(self, other: NDArray | Context) -> NDArray:
        """Copy the values to *other*, an array of the same shape, and return it; to a context, return a new array.

        Raises ParameterError for another shape, TypeError for anything else.
        """
        if isinstance(other, Context):
            return wrapped(self.asnumpy(), other)
        if not isinstance(other, NDArray):
            raise TypeError(f"cannot copy to {type(other).__name__}: an NDArray or a context is needed")
        if self.shape != other.shape:
            raise ParameterError(f"cannot copy an array of shape {self.shape} to one of shape {other.shape}")
        other[:] = self
        return other

    def copy(self, order: Any = "C") -> NDArray:
        """Return a copy."""
        return wrapped(np.array(plain(self), order="C"), self._context)

    def detach(self) -> NDArray:
        """Return an array over the same memory; nothing records what is computed."""
        return wrapped(plain(self), self._context)

    def wait_to_read(self) -> None:
        """Do nothing: values are there when the array is."""

    def astype(self, dtype: Any, copy: bool = True, **options: Any) -> NDArray:  # type: ignore[override]
        """Return the values as *dtype*, a copy unless *copy* is false and they have it.

        For integers, decimals are cut off, and what is out of range wraps around. Raises ParameterError for types that
        MXNet's arrays cannot have.
        """
        dtype = checked_dtype(dtype)
        if dtype == self.dtype:
            return self.copy() if copy else self
        return wrapped(converted(plain(self), dtype), self._context)

    # Shapes.

    def reshape(self, *shape: Any, reverse: bool = False, **options: Any) -> NDArray:
        """Return the values in another shape, over the same memory: ``reshape((0, -1))``, ``reshape(0, -1)``.

        Sizes up to 0 are MXNet's codes: 0 keeps a size, -1 is inferred, -2 keeps all that are left, -3 merges two, -4
        splits one (:func:`~im2rec.mx.reshaping.inferred_shape`). Raises ParameterError.
        """
        given = options.pop("shape", shape)
        if options:
            raise TypeError(f"reshape() has no parameter {', '.join(options)}")
        if len(given) == 1 and not is_number(given[0]):
            (given,) = given
        new = inferred_shape(self.shape, given, reverse=bool(reverse))
        try:
            return wrapped(plain(self).reshape(new), self._context)
        except ValueError:
            problem = f"an array of shape {self.shape} has {self.size} values: it cannot be reshaped by {tuple(given)}"
            raise ParameterError(problem) from None

    @property
    def T(self) -> NDArray:  # noqa: N802 - the name of both libraries
        """A copy with the axes in reverse order."""
        return self.transpose()

    def transpose(self, *axes: Any, **options: Any) -> NDArray:
        """Return a copy with its axes in the order *axes*, reversed without them: ``transpose((2, 0, 1))``."""
        given = options.pop("axes", axes[0] if len(axes) == 1 else axes) or None
        if options:
            raise TypeError(f"transpose() has no parameter {', '.join(options)}")
        return self._copied(np.transpose(plain(self), given))

    def swapaxes(self, dim1: Any = 0, dim2: Any = 0) -> NDArray:
        """Return a copy with two axes exchanged."""
        return self._copied(np.swapaxes(plain(self), dim1, dim2))

    def flip(self, axis: Axes) -> NDArray:
        """Return a copy with the order of the values along *axis*, one or several, reversed."""
        return self._copied(np.flip(plain(self), _axes(axis)))

    def slice_axis(self, axis: int, begin: int, end: int | None) -> NDArray:
        """Return a copy of the values from *begin* up to, not including, *end* along *axis*; None is the end.

        Numbers below 0 count from the end. Raises ParameterError for a slice that is empty or goes beyond the array.
        """
        size = self.shape[axis]
        start, stop = (number + size if number < 0 else number for number in (begin, size if end is None else end))
        if not 0 <= start < stop <= size:
            raise ParameterError(f"begin={begin}, end={end} must be a part of the {size} values along axis {axis}")
        chosen: list[slice] = [slice(None)] * self.ndim
        chosen[axis] = slice(start, stop)
        return self._copied(plain(self)[tuple(chosen)])

    def expand_dims(self, axis: int) -> NDArray:
        """Return a copy with a new axis of size 1 at *axis*."""
        return self._copied(np.expand_dims(plain(self), axis))

    def squeeze(self, axis: Axes = None) -> NDArray:  # type: ignore[override]
        """Return a copy without the axes of size 1, or without *axis*, one or several of these."""
        return self._copied(np.squeeze(plain(self), _axes(axis)))

    def take(self, indices: Any, axis: int = 0, **options: Any) -> NDArray:  # type: ignore[override]
        """Return a copy of the parts at *indices* along *axis*, by default the first; others take the nearest part."""
        return self._copied(np.take(plain(self), _index(indices), axis=axis, mode=options.get("mode", "clip")))

    def flatten(self, order: Any = "C") -> NDArray:
        """Return a copy of two axes: the first one, and all others in one. NumPy's gives one axis."""
        return self._copied(plain(self).reshape(len(self), -1))

    def clip(self, a_min: float, a_max: float) -> NDArray:  # type: ignore[override]
        """Return a copy with *a_min* for the values below it, and *a_max* for those above."""
        values = plain(self)
        low, high = np.float64(a_min), np.float64(a_max)
        below, above = converted(low, self.dtype), converted(high, self.dtype)
        return self._copied(np.where(values > high, above, np.where(values < low, below, values)))

    def sort(self, axis: int | None = -1, is_ascend: Any = True) -> NDArray:  # type: ignore[override]
        """Return a copy sorted along *axis*, of all values in a row for None; NumPy's sorts the array itself."""
        values, order = self._sorted(axis, is_ascend)
        return self._copied(np.take_along_axis(values, order, -1 if axis is None else axis))

    def argsort(self, axis: int | None = -1, is_ascend: Any = True, dtype: Any = "float32") -> NDArray:  # type: ignore[override]
        """Return the places of the values in the order of :meth:`sort`, as *dtype*. Raises ParameterError."""
        return self._copied(converted(self._sorted(axis, is_ascend)[1], checked_dtype(dtype)))

    def _sorted(self, axis: int | None, is_ascend: Any) -> tuple[Array, Array]:
        """Return the values, in a row for None, and the indices that sort them; equal values keep their order."""
        values, along = (plain(self).reshape(-1), -1) if axis is None else (plain(self), axis)
        if not is_ascend:  # ~ reverses the order of integers of any type
            return values, np.argsort(-values if values.dtype.kind == "f" else ~values, axis=along, kind="stable")
        return values, np.argsort(values, axis=along, kind="stable")

    def _copied(self, view: Array) -> NDArray:
        return wrapped(np.array(view, order="C", ndmin=1), self._context)

    # Reductions: never without axes, and of the type of the array.

    def _reduced(self, function: Callable[..., Any], axis: Axes, **options: Any) -> NDArray:
        result = np.atleast_1d(function(plain(self), axis=_axes(axis), **options))
        return wrapped(converted(result, self.dtype), self._context)

    def sum(self, axis: Axes = None, keepdims: Any = False) -> NDArray:  # type: ignore[override]
        """Return the sums along *axis*, one or several, or over all; integers wrap around."""
        return self._reduced(np.sum, axis, keepdims=bool(keepdims))

    def prod(self, axis: Axes = None, keepdims: Any = False) -> NDArray:  # type: ignore[override]
        """Return the products along *axis*, one or several, or over all; integers wrap around."""
        return self._reduced(np.prod, axis, keepdims=bool(keepdims))

    def mean(self, axis: Axes = None, keepdims: Any = False) -> NDArray:  # type: ignore[override]
        """Return the means along *axis*, one or several, or over all; of integers, decimals are cut off."""
        return self._reduced(np.mean, axis, keepdims=bool(keepdims))

    def max(self, axis: Axes = None, keepdims: Any = False) -> NDArray:  # type: ignore[override]
        """Return the largest values along *axis*, one or several, or over all."""
        return self._reduced(np.max, axis, keepdims=bool(keepdims))

    def min(self, axis: Axes = None, keepdims: Any = False) -> NDArray:  # type: ignore[override]
        """Return the smallest values along *axis*, one or several, or over all."""
        return self._reduced(np.min, axis, keepdims=bool(keepdims))

    def norm(self, axis: Axes = None, keepdims: Any = False) -> NDArray:
        """Return the square roots of the sums of squares along *axis*, one or several, or over all."""
        squares = wrapped(np.square(plain(self).astype(np.result_type(self.dtype, np.float32))))
        return self._copied(converted(np.sqrt(plain(squares.sum(axis, keepdims))), self.dtype))

    def argmax(self, axis: int | None = None, keepdims: Any = False) -> NDArray:  # type: ignore[override]
        """Return the places of the largest values along *axis*, or in all, in the type of the array."""
        return self._reduced(np.argmax, axis, keepdims=bool(keepdims))

    def argmin(self, axis: int | None = None, keepdims: Any = False) -> NDArray:  # type: ignore[override]
        """Return the places of the smallest values along *axis*, or in all, in the type of the array."""
        return self._reduced(np.argmin, axis, keepdims=bool(keepdims))


def _restored(array: Array, context: Context) -> NDArray:
    """Return an NDArray that was pickled."""
    return wrapped(array, context)


def _axes(axis: Axes) -> int | tuple[int, ...] | None:
    """Return *axis* as NumPy takes it."""
    return tuple(axis) if isinstance(axis, Sequence) else axis


def _unwrapped(value: Any) -> Any:
    """Return *value* with each NDArray in it, in lists, tuples and dicts too, as a plain array over its memory."""
    if isinstance(value, NDArray):
        return plain(value)
    if type(value) in (list, tuple):
        return type(value)(map(_unwrapped, value))
    if type(value) is dict:
        return {name: _unwrapped(item) for name, item in value.items()}
    return value


def _operands(inputs: Sequence[Any], name: str) -> list[Any] | None:
    """Return *inputs* as numbers and plain arrays; None if one of them has operators of its own.

    Raises TypeError for what is neither: *name* is that of the operator.
    """
    operands = []
    for value in inputs:
        if not isinstance(value, np.ndarray) and not is_number(value):
            if hasattr(value, "__array_ufunc__"):
                return None
            if not hasattr(value, "__array__"):  # which torch's tensors have
                raise TypeError(f"{name} of an NDArray and {type(value).__name__}")
        is_array = isinstance(value, NDArray) or np.ndim(value)  # a plain array without axes is a number
        operands.append(plain(value) if is_array else plain(value)[()])
    return operands


def _index(key: Any) -> Any:
    """Return *key* with the arrays in it as NumPy takes them for indices: integers, unless they are bools."""
    if isinstance(key, tuple):
        return tuple(map(_index, key))
    if isinstance(key, NDArray):
        return plain(key) if key.dtype == np.bool_ else converted(plain(key), np.int64)
    return key
