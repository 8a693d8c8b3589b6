"""Load the pickles of a set: plain data and arrays of uint8, from files that may be damaged or malicious.

Python's unpickler imports and calls whatever a file names. This is its restricted form, as the manual describes it. It
imports nothing: the few names by which numpy pickles arrays are mapped to functions of this module, and any other name
is an error. A file can run no code, and time and memory are bounded by its length:

* The unpickler is the one that Python has in Python: the one in C allocates its memo up to the largest index in the
  file, up to 34 GB for a file of ten bytes.
* Only the opcodes by which plain data are pickled are known, and at most ``MAX_OPCODES`` of them are followed.
* The keys of a dictionary are text or bytes: hashing a tuple of tuples that share their items can take for ever.
* No call has more than ``MAX_ARGUMENTS``, and all texts that calls convert are together no longer than the file.

Source: Python's manual, pickle, "Restricting Globals"; CPython's Lib/pickle.py, ``_Unpickler``; numpy
``ndarray.__reduce__`` and ``__reduce_ex__``.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from im2rec.datasets.sets import Bytes
from im2rec.errors import InputError

MAX_OPCODES = 2_000_000  # the file with most of them, CIFAR-100's training images, has some 300,000
MAX_ARGUMENTS = 8  # of a call
MAX_DIMENSIONS = 64  # of an array, as in numpy
_MAKE_AGAIN = "make or fetch the file again"
_OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.MARK, pickle.STOP),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2),
    *(pickle.LONG, pickle.LONG1, pickle.LONG4, pickle.FLOAT, pickle.BINFLOAT),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.BYTEARRAY8),
    *(pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8),
    *(pickle.LIST, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.DICT, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.TUPLE, pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
    *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD),
)


def load_pickle(data: bytes) -> Any:
    """Load the pickle *data*: dict, list, tuple, bytes, str, numbers, bool, None, and arrays of uint8.

    An array must be the value itself or a value of the outermost dictionary;
    anywhere else it stays a placeholder. Strings of Python 2 become bytes. Raises InputError for any other name or
    array, and for damage.
    """
    try:
        value = _Unpickler(data).load()
        return {key: _resolve(item) for key, item in value.items()} if type(value) is dict else _resolve(value)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - the manual names some that damage can raise, "not necessarily limited to" them
        raise InputError("is not a complete pickle of plain data and uint8 arrays", hint=_MAKE_AGAIN) from None


class _Name:
    """The replacement of a global that a pickle names: *call* is called in its place."""

    __slots__ = ("_call",)  # no other attributes, so that a file cannot set any

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Ignore the state: that of a dtype is its byte order, and uint8 has none."""


class _Array:
    """A placeholder of an array; *value* is None until the pickle sets its state."""

    __slots__ = ("value",)

    def __init__(self, value: Bytes | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_column, content = state
        self.value = _from_buffer(content, dtype, shape, "F" if by_column else "C").value


def _refuse_call(*_: Any) -> None:
    raise TypeError


_NDARRAY, _UINT8 = _Name(_refuse_call), _Name(_refuse_call)  # only named as arguments, never called, by numpy


def _dtype(name: Any, *_: Any) -> _Name:
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


_ENCODE = "_codecs.encode"
_NAMES = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _Name(_dtype),
    **{f"numpy.{core}.multiarray._reconstruct": _Name(lambda *_: _Array()) for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _Name(_from_buffer) for core in ("core", "_core")},
}


class _Content(io.BytesIO):
    """The bytes of a pickle; reading beyond their end raises EOFError, where BytesIO returns what there is."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next *size* bytes."""
        data = super().read(size)
        if size is not None and len(data) < size:
            raise EOFError
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the bytes up to the next line feed, which is included."""
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise EOFError
        return line


class _Memo(dict[int, Any]):
    """The values that a pickle of *size* bytes stores to use again, by their index."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, index: int, value: Any) -> None:
        """Store *value*. Raises ValueError for an index that no pickle of this size can count up to."""
        if index > self._size:
            raise ValueError
        super().__setitem__(index, value)


class _Dispatch(dict[int, Callable[[Any], None]]):
    """The functions of the unpickler by opcode; it raises InputError when more are looked up than any set has."""

    left = MAX_OPCODES

    def __getitem__(self, opcode: int) -> Callable[[Any], None]:
        """Return the function of *opcode*. Raises KeyError for one that plain data do not need."""
        self.left -= 1
        if self.left < 0:
            raise InputError("the pickle holds more values than any of this set", hint="is it the right file?")
        return super().__getitem__(opcode)


_PurePython: Any = pickle._Unpickler  # noqa: SLF001 - see the module's docstring


class _Unpickler(_PurePython):  # type: ignore[misc]
    """Python's unpickler in Python, which knows only the names in ``_NAMES`` and the opcodes in ``_OPCODES``."""

    def __init__(self, data: bytes) -> None:
        super().__init__(_Content(data), encoding="bytes")
        self.memo = _Memo(len(data))
        self.dispatch = _Dispatch({opcode[0]: self._functions[opcode[0]] for opcode in _OPCODES})
        self._encodable = len(data)

    def find_class(self, module: str, name: str) -> _Name:
        """Return the replacement of ``module.name``. Raises InputError for any name but those in ``_NAMES``."""
        full_name = f"{module}.{name}"
        if full_name == _ENCODE:
            return _Name(self._encode)
        if full_name not in _NAMES:
            shown = f"{module[:80]}.{name[:80]}".encode("unicode_escape").decode()  # one line, whatever is in it
            problem = f"the pickle names {shown}, which no set of images needs, and is not read"
            raise InputError(problem, hint="do not trust this file")
        return _NAMES[full_name]

    def _encode(self, text: str, encoding: str) -> bytes:
        """Replace ``_codecs.encode``, by which Python 3 writes bytes in a pickle of protocol 2."""
        self._encodable -= len(text)
        if encoding not in ("latin1", "latin-1") or self._encodable < 0:
            raise ValueError
        return text.encode("latin-1")

    def _load_reduce(self) -> None:
        if type(self.stack[-1]) is not tuple or len(self.stack[-1]) > MAX_ARGUMENTS:
            raise TypeError
        self.load_reduce()

    def _load_build(self) -> None:
        state = self.stack.pop()
        self.stack[-1].__setstate__(state)  # AttributeError for plain data; load_build() would set attributes

    def _load_bytearray8(self) -> None:
        self.load_binbytes8()  # load_bytearray8() would allocate the length that is claimed
        self.stack[-1] = bytearray(self.stack[-1])

    def _load_setitem(self) -> None:
        _check_keys([self.stack[-2]])
        self.load_setitem()

    def _load_setitems(self) -> None:
        _check_keys(self.stack[::2])  # the stack starts at the last mark
        self.load_setitems()

    def _load_dict(self) -> None:
        _check_keys(self.stack[::2])
        self.load_dict()

    _functions: ClassVar[dict[int, Callable[[Any], None]]] = {
        **_PurePython.dispatch,
        pickle.REDUCE[0]: _load_reduce,
        pickle.BUILD[0]: _load_build,
        pickle.BYTEARRAY8[0]: _load_bytearray8,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.DICT[0]: _load_dict,
    }


def _check_keys(keys: list[Any]) -> None:
    """Raise TypeError for a key of a dictionary that is neither text nor bytes."""
    if not all(type(key) in (str, bytes) for key in keys):
        raise TypeError


def _resolve(value: Any) -> Any:
    """Return *value*, or the array of a placeholder. Raises TypeError for a bare name or an empty placeholder."""
    if type(value) is _Name or (type(value) is _Array and value.value is None):
        raise TypeError
    return value.value if type(value) is _Array else value
