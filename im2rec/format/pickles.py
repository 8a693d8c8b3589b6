"""The restricted unpickler: it loads plain data from files that may be damaged or malicious, and runs nothing.

Python's unpickler imports and calls whatever a file names. This is its restricted form, as the manual describes it. It
imports nothing: each name that a kind of file needs is mapped to a function of ours, and any other name is an error.
Filtering names is not enough, as time and memory must be bounded by the length of the file:

* The unpickler is the one that Python has in Python: the one in C allocates its memo up to the largest index in the
  file, up to 34 GB for a file of ten bytes.
* Only the opcodes that a kind of file needs are known, and only so many of them are followed.
* A length beyond the end of the file allocates nothing, and a number in decimal digits has few of them.
* The keys of a dictionary are text or bytes: hashing a tuple of tuples that share their items can take for ever.
* No call has more than ``MAX_ARGUMENTS``.

Source: Python's manual, pickle, "Restricting Globals"; CPython's Lib/pickle.py, ``_Unpickler``; numpy
``ndarray.__reduce__`` and ``__reduce_ex__``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from im2rec.errors import InputError
from im2rec.format.recordio import Source

MAX_ARGUMENTS = 8  # of a call
MAX_DIGITS = 64  # of a number in a line of its own; int() takes quadratic time
PLAIN_OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.MARK, pickle.STOP),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2),
    *(pickle.LONG, pickle.LONG1, pickle.LONG4, pickle.FLOAT, pickle.BINFLOAT),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.BYTEARRAY8),
    *(pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8),
    *(pickle.LIST, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.TUPLE, pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
    *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD),
)
DICT_OPCODES = (pickle.DICT, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS)
ENCODE = ("_codecs", "encode")  # by which Python 3 writes bytes in a pickle of protocol 2
_WINDOW_BYTES = 1 << 16  # of a file that are read at once
_SHOWN_NAME = 80  # characters of each part of a name in a message

Names = Mapping[tuple[str, str], Any]  # (module, name) -> the function or value in its place
_Function = Callable[[Any], None]


class RefusedPickleError(ValueError):
    """The pickle does what no file of its kind needs: it has an unknown opcode, or a memo number that is too large."""


class Name:
    """The replacement of a global that a pickle names: *call* is called in its place."""

    __slots__ = ("_call",)  # no other attributes, so that a file cannot set any

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        """Return the result of the replacement."""
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Ignore the state."""


def refuse_call(*_: Any) -> None:
    """Replace what pickles only name, and never call. Raises TypeError."""
    raise TypeError


NDARRAY = Name(refuse_call)  # numpy only names it, as an argument


def numpy_names(*, dtype: Any, reconstruct: Any, from_buffer: Any, scalar: Any = None) -> dict[tuple[str, str], Any]:
    """Return the names by which numpy, before and after 2.0, pickles arrays, each with what replaces it.

    No *scalar* leaves out the name of single numbers.
    """
    names = {("numpy", "ndarray"): NDARRAY, ("numpy", "dtype"): dtype}
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = reconstruct
        names[f"{core}.numeric", "_frombuffer"] = from_buffer
        if scalar is not None:
            names[f"{core}.multiarray", "scalar"] = scalar
    return names


class PickleContent:
    """The bytes of a pickle, read one after the other; reading beyond their end raises EOFError.

    *at* is the offset of the next byte.
    """

    def __init__(self, source: Source) -> None:
        self.at = 0
        self.size = source.size
        self._source = source
        self._window, self._start = b"", 0

    def read(self, size: int) -> bytes:
        """Return the next *size* bytes."""
        begin = self.at - self._start
        data = self._window[begin : begin + size] if begin >= 0 else b""
        if len(data) < size:
            if size > self.size - self.at:
                raise EOFError
            if size >= _WINDOW_BYTES:
                data = self._source.read_at(self.at, size)
            else:
                self._window, self._start = self._source.read_at(self.at, _WINDOW_BYTES), self.at
                data = self._window[:size]
            if len(data) < size:  # the file has become shorter
                raise EOFError
        self.at += size
        return data

    def skip(self, size: int) -> None:
        """Pass over the next *size* bytes without reading them."""
        if size > self.size - self.at:
            raise EOFError
        self.at += size

    def readline(self) -> bytes:
        """Return the bytes up to the next line feed, which is included."""
        pieces: list[bytes] = []
        while True:
            begin = self.at - self._start
            end = self._window.find(b"\n", begin) + 1 if begin >= 0 else 0
            if end:
                self.at = self._start + end
                return b"".join([*pieces, self._window[begin:end]])
            pieces.append(self.read(max(0, len(self._window) - begin) if begin >= 0 else 0))
            self._window, self._start = self._source.read_at(self.at, _WINDOW_BYTES), self.at
            if not self._window:
                raise EOFError


class _Memo(dict[int, Any]):
    """The values that a pickle of *size* bytes stores to use again, by their index."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, index: int, value: Any) -> None:
        """Store *value*. Raises RefusedPickleError for an index that no pickle of this size can count up to."""
        if index > self._size:
            raise RefusedPickleError(f"numbers a value {index:,}, more than its {self._size:,} bytes can hold")
        super().__setitem__(index, value)


class _Dispatch(dict[int, _Function]):
    """The functions of the unpickler by opcode; it raises InputError when more than *left* are looked up."""

    def __init__(self, functions: dict[int, _Function], left: int, kind: str) -> None:
        super().__init__(functions)
        self.left = left
        self._kind = kind

    def __getitem__(self, opcode: int) -> _Function:
        """Return the function of *opcode*. Raises RefusedPickleError for one that files of this kind do not need."""
        self.left -= 1
        if self.left < 0:
            raise InputError(f"the pickle holds more values than any {self._kind}", hint="is it the right file?")
        return super().__getitem__(opcode)

    def __missing__(self, opcode: int) -> _Function:
        raise RefusedPickleError(f"has the opcode {_opcode_name(opcode)}, which no {self._kind} needs")


def _opcode_name(opcode: int) -> str:
    code = bytes([opcode])
    return next((name for name, value in vars(pickle).items() if name.isupper() and value == code), f"{opcode:#04x}")


_PurePython: Any = pickle._Unpickler  # noqa: SLF001 - see the module's docstring


class RestrictedUnpickler(_PurePython):  # type: ignore[misc]
    """Python's unpickler in Python, for the pickle that *source* begins with: it knows *names* and *opcodes* alone.

    At most *max_opcodes* are followed. *kind* is what messages call the file, as in "no <kind> needs". Strings of
    Python 2 become bytes. :meth:`load` raises InputError for another name and for too many opcodes,
    RefusedPickleError for another opcode or memo number, EOFError where the bytes end too soon, and errors of any
    class for other damage.
    """

    functions: ClassVar[dict[int, _Function]] = {}  # by which a subclass replaces those of Python

    def __init__(self, source: Source, names: Names, opcodes: Iterable[bytes], *, max_opcodes: int, kind: str) -> None:
        self.content = PickleContent(source)
        super().__init__(self.content, encoding="bytes")
        self.memo = _Memo(source.size)
        functions = {**_PurePython.dispatch, **_FUNCTIONS, **self.functions}
        self.dispatch = _Dispatch({opcode[0]: functions[opcode[0]] for opcode in opcodes}, max_opcodes, kind)
        self._names, self._kind = names, kind

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of ``module.name``. Raises InputError for any name but those that were given."""
        if (module, name) not in self._names:
            shown = ".".join(_escaped(part[:_SHOWN_NAME])[:_SHOWN_NAME] for part in (module, name))
            problem = f"the pickle names {shown}, which no {self._kind} needs, and is not read"
            raise InputError(problem, hint="do not trust this file")
        return self._names[module, name]

    def load_reduce(self) -> None:
        """Call what the pickle names, with few arguments."""
        if type(self.stack[-1]) is not tuple or len(self.stack[-1]) > MAX_ARGUMENTS:
            raise TypeError
        super().load_reduce()

    def load_build(self) -> None:
        """Give a state to one of our own values: AttributeError for plain data, of which attributes would be set."""
        state = self.stack.pop()
        self.stack[-1].__setstate__(state)

    def load_frame(self) -> None:
        """Check that a frame is within the file; its bytes are read where they are, not copied."""
        if int.from_bytes(self.read(8), "little") > self.content.size - self.content.at:
            raise EOFError

    def load_bytearray8(self) -> None:
        """Read a bytearray; Python's function would allocate the length that is claimed."""
        self.load_binbytes8()
        self.stack[-1] = bytearray(self.stack[-1])

    def load_setitem(self) -> None:
        """Set an item of a dictionary."""
        _check_keys([self.stack[-2]])
        super().load_setitem()

    def load_setitems(self) -> None:
        """Set items of a dictionary."""
        _check_keys(self.stack[::2])  # the stack starts at the last mark
        super().load_setitems()

    def load_dict(self) -> None:
        """Make a dictionary of the values behind the last mark."""
        _check_keys(self.stack[::2])
        super().load_dict()


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _check_keys(keys: list[Any]) -> None:
    """Raise TypeError for a key of a dictionary that is neither text nor bytes."""
    if not all(type(key) in (str, bytes) for key in keys):
        raise TypeError


def _of_digits(opcode: bytes) -> _Function:
    """Return Python's function of *opcode*, by which a number follows in digits, for numbers of few digits."""
    load: _Function = _PurePython.dispatch[opcode[0]]

    def checked(unpickler: RestrictedUnpickler) -> None:
        at = unpickler.content.at
        if len(unpickler.content.readline()) > MAX_DIGITS:
            raise ValueError
        unpickler.content.at = at
        load(unpickler)

    return checked


_FUNCTIONS: dict[int, _Function] = {
    pickle.REDUCE[0]: RestrictedUnpickler.load_reduce,
    pickle.BUILD[0]: RestrictedUnpickler.load_build,
    pickle.FRAME[0]: RestrictedUnpickler.load_frame,
    pickle.BYTEARRAY8[0]: RestrictedUnpickler.load_bytearray8,
    pickle.SETITEM[0]: RestrictedUnpickler.load_setitem,
    pickle.SETITEMS[0]: RestrictedUnpickler.load_setitems,
    pickle.DICT[0]: RestrictedUnpickler.load_dict,
    **{opcode[0]: _of_digits(opcode) for opcode in (pickle.INT, pickle.LONG, pickle.PUT, pickle.GET)},
}
