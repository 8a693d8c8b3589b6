"""Load the pickles of a set: plain data with dictionaries, and arrays of uint8.

By the restricted unpickler of :mod:`im2rec.format.pickles`: a file can run no code, and time and memory are bounded by
its length.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from im2rec.datasets.sets import Bytes
from im2rec.errors import InputError
from im2rec.format.pickles import (
    DICT_OPCODES,
    ENCODE,
    PLAIN_OPCODES,
    Name,
    RestrictedUnpickler,
    numpy_names,
    refuse_call,
)
from im2rec.format.recordio import BytesSource

MAX_OPCODES = 2_000_000  # the file with most of them, CIFAR-100's training images, has some 300,000
MAX_DIMENSIONS = 64  # of an array, as in numpy
_MAKE_AGAIN = "make or fetch the file again"


def load_pickle(data: bytes) -> Any:
    """Load the pickle *data*: dict, list, tuple, bytes, str, numbers, bool, None, and arrays of uint8.

    An array must be the value itself or a value of the outermost dictionary;
    anywhere else it stays a placeholder. Strings of Python 2 become bytes. Raises InputError for any other name or
    array, and for damage.
    """
    names = _NAMES | {ENCODE: Name(_Encoder(len(data)).encode)}
    opcodes = (*PLAIN_OPCODES, *DICT_OPCODES)
    unpickler = RestrictedUnpickler(BytesSource(data), names, opcodes, max_opcodes=MAX_OPCODES, kind="set of images")
    try:
        value = unpickler.load()
        return {key: _resolve(item) for key, item in value.items()} if type(value) is dict else _resolve(value)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - the manual names some that damage can raise, "not necessarily limited to" them
        raise InputError("is not a complete pickle of plain data and uint8 arrays", hint=_MAKE_AGAIN) from None


class _Encoder:
    """Converts texts that are together no longer than *size*, the length of the file."""

    def __init__(self, size: int) -> None:
        self._left = size

    def encode(self, text: str, encoding: str) -> bytes:
        """Replace ``_codecs.encode``, by which Python 3 writes bytes in a pickle of protocol 2."""
        self._left -= len(text)
        if encoding not in ("latin1", "latin-1") or self._left < 0:
            raise ValueError
        return text.encode("latin-1")


class _Array:
    """A placeholder of an array; *value* is None until the pickle sets its state."""

    __slots__ = ("value",)

    def __init__(self, value: Bytes | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_column, content = state
        self.value = _from_buffer(content, dtype, shape, "F" if by_column else "C").value


_UINT8 = Name(refuse_call)  # its state is its byte order, and uint8 has none


def _dtype(name: Any, *_: Any) -> Name:
    """Replace ``numpy.dtype``. Raises InputError for any type but uint8."""
    if name not in ("u1", b"u1"):
        raise InputError("expected an array of bytes ('u1'), found one of another type", hint=_MAKE_AGAIN)
    return _UINT8


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """Replace numpy's ``_frombuffer``: return an array over *content*, without a copy."""
    if dtype is not _UINT8 or type(content) not in (bytes, bytearray) or type(shape) is not tuple:
        raise TypeError
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError
    if not all(type(edge) is int and edge >= 0 for edge in shape):  # numpy would compute an edge of -1
        raise ValueError
    if order != "C":
        raise InputError("expected an array row by row, found one column by column", hint=_MAKE_AGAIN)
    return _Array(np.frombuffer(content, np.uint8).reshape(shape))  # ValueError for another number of bytes


_NAMES = numpy_names(dtype=Name(_dtype), reconstruct=Name(lambda *_: _Array()), from_buffer=Name(_from_buffer))


def _resolve(value: Any) -> Any:
    """Return *value*, or the array of a placeholder. Raises TypeError for a bare name or an empty placeholder."""
    if type(value) is Name or (type(value) is _Array and value.value is None):
        raise TypeError
    return value.value if type(value) is _Array else value
