"""Read a pickle of plain data and arrays of bytes: no name in it is ever looked up.

Python's unpickler imports and calls whatever a file names. This is its restricted form, as the manual describes it: the
few names that arrays of numpy are written with stand for functions of our own, and any other is an error. A file made
to do harm can run nothing and name no shape beyond its bytes; it can still make Python's unpickler take memory or time.

Source: Python's manual, pickle, "Restricting Globals"; numpy ``ndarray.__reduce__`` and ``__reduce_ex__``.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from im2rec.datasets.model import Bytes
from im2rec.errors import InputError

_MAKE_AGAIN = "make or fetch the file again"


def load_pickle(data: bytes) -> Any:
    """What the pickle *data* holds: dict, list, tuple, bytes, str, numbers, bool, None, and arrays of uint8.

    An array, read without a copy, is at the top or in the dictionary at the top; anywhere else it is left a stand-in.
    Strings of Python 2 come back as bytes. Raises InputError for any other name, any other array, and damage.
    """
    try:
        value = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {key: _settled(item) for key, item in value.items()} if type(value) is dict else _settled(value)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - the manual names some that damage can raise, "not necessarily limited to" them
        raise InputError("is no whole pickle of plain data and uint8 arrays", hint=_MAKE_AGAIN) from None


class _Name:
    """What a name in a pickle stands for: *call* is called in its place."""

    __slots__ = ("_call",)  # and no attributes that a file could give it

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Take none: that of the type is the order of its bytes, of which there is one."""


class _Array:
    """An array, empty until its state comes."""

    __slots__ = ("value",)

    def __init__(self, value: Bytes | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_column, content = state
        self.value = _from_buffer(content, dtype, shape, "F" if by_column else "C").value


def _nothing(*_: Any) -> None:
    raise TypeError


_NDARRAY, _UINT8 = _Name(_nothing), _Name(_nothing)  # which are named, and not called


def _dtype(name: Any, *_: Any) -> _Name:
    if name not in ("u1", b"u1"):
        raise InputError("expected an array of bytes ('u1'), found one of another type", hint=_MAKE_AGAIN)
    return _UINT8


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    if dtype is not _UINT8 or type(content) not in (bytes, bytearray) or type(shape) is not tuple:
        raise TypeError
    if not all(type(edge) is int and edge >= 0 for edge in shape):  # numpy would fit an edge of -1 to the others
        raise ValueError
    if order != "C":
        raise InputError("expected an array row by row, found one column by column", hint=_MAKE_AGAIN)
    return _Array(np.frombuffer(content, np.uint8).reshape(shape))  # a ValueError when it has not as many bytes


def _encode(text: str, encoding: str) -> bytes:
    """Bytes of Python 3 in a pickle that Python 2 can read."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError
    return text.encode("latin-1")


_NAMES = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _Name(_dtype),
    "_codecs.encode": _Name(_encode),
    **{f"numpy.{core}.multiarray._reconstruct": _Name(lambda *_: _Array()) for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _Name(_from_buffer) for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Python's, which finds no name but ours."""

    def find_class(self, module: str, name: str) -> _Name:
        """What ``module.name`` stands for here. Raises InputError for a name that is not ours."""
        found = _NAMES.get(f"{module}.{name}")
        if found is None:
            shown = f"{module[:80]}.{name[:80]}".encode("unicode_escape").decode()  # one line, whatever is in it
            problem = f"the pickle names {shown}, which no set of pictures needs, and is not read"
            raise InputError(problem, hint="do not trust this file")
        return found


def _settled(value: Any) -> Any:
    """*value*, or the array it stands for; a name that is nothing but a name is refused."""
    if type(value) is _Name or (type(value) is _Array and value.value is None):
        raise TypeError
    return value.value if type(value) is _Array else value
