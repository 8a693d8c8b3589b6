"""Bytes, arrays and numbers of a pickle, each found where it is in the file: the unpickler of verification files.

Long bytes and texts are not read: :class:`Stored` is the place of one in the file, and how it is written there, so that
a file of any size takes little memory. numpy's arrays and numbers become values of this module, which do nothing.

Source: CPython's Lib/pickle.py; numpy ``ndarray.__reduce__``, ``dtype.__reduce__`` and ``generic.__reduce__``.
"""

from __future__ import annotations

import codecs
import math
import pickle
import re
from collections.abc import Callable
from typing import Any, ClassVar

from im2rec.errors import counted
from im2rec.format.pickles import (
    ENCODE,
    NDARRAY,
    PLAIN_OPCODES,
    Name,
    RefusedPickleError,
    RestrictedUnpickler,
    numpy_names,
)
from im2rec.format.recordio import Source

SHORT_BYTES = 255  # bytes and texts up to this length are read at once: names, types and numbers are among them
MAX_DIMENSIONS = 8  # of an array
# Opcodes that are followed: four bytes for each are less than any published file has, whose images have hundreds. The
# values of one opcode take up to 110 bytes of memory, and a microsecond or more. 12,000 arrays need 360,000 of them.
BYTES_PER_OPCODE, SPARE_OPCODES, MAX_OPCODES = 4, 10_000, 2_000_000
STR, BYTES, BYTEARRAY = "str", "bytes", "bytearray"  # of Python 2; of Python 3
# By which Python 3 writes bytes in protocols that have none, where Python 2 has strings, and both write bytearrays.
_OF_BYTES, _OF_BYTEARRAYS = (
    frozenset((module, name) for module in ("builtins", "__builtin__")) for name in (BYTES, BYTEARRAY)
)
BYTES_NAMES = frozenset({ENCODE}) | _OF_BYTES | _OF_BYTEARRAYS
_LATIN_1 = ("latin1", "latin-1", b"latin-1")  # the last by Python 2, of a bytearray
# Protocols 0 and 1 begin alike, but for lists, strings, and the memo number that follows a name.
_PROTOCOL_1 = re.compile(rb"\(*([\]TUX]|c.*\n.*\nq)")
_START_BYTES = 4096
_TITLES = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
_TYPE = re.compile(r"([biufc])(\d{1,2})")

# How bytes are written in a pickle, and the function that makes them of what is written.
_FORMS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "escaped": lambda data: codecs.escape_decode(data)[0],  # strings of Python 2
    "utf-8": lambda data: data.decode("utf-8", "surrogatepass").encode("latin-1"),
    "unicode": lambda data: data.decode("raw-unicode-escape").encode("latin-1"),
}
_RAW, _ESCAPED, _UTF_8, _UNICODE = _FORMS


class Stored:
    """The place of *length* bytes in a file: *size* bytes from *offset* on, written in one of a few forms.

    *kind* is the type that Python wrote.
    """

    __slots__ = ("form", "kind", "length", "offset", "size")

    def __init__(self, offset: int, size: int, length: int, form: str, kind: str) -> None:
        self.offset, self.size, self.length, self.form, self.kind = offset, size, length, form, kind

    def __len__(self) -> int:
        return self.length

    def read(self, source: Source) -> bytes:
        """Return the bytes. Raises EOFError or ValueError if the file has changed, and what *source* raises."""
        data = source.read_at(self.offset, self.size)
        if len(data) < self.size:
            raise EOFError
        content = data if self.form == _RAW else _FORMS[self.form](data)
        if len(content) != self.length:
            raise ValueError
        return content


class _Text:
    """The place of a long text in a file, which may be bytes of Python 3 in a protocol that has none."""

    __slots__ = ("encoded", "form", "offset", "size")

    def __init__(self, offset: int, size: int, form: str) -> None:
        self.offset, self.size, self.form = offset, size, form
        self.encoded: Stored | None = None


class TypeName:
    """The replacement of a dtype: its *name*, such as ``u1``, and its byte *order*."""

    __slots__ = ("item_bytes", "name", "order", "title")

    def __init__(self, name: str) -> None:
        match = _TYPE.fullmatch(name)
        self.name, self.order = name, "|"
        self.item_bytes = int(match[2]) if match else None
        kind = _TITLES[match[1]] if match else ""
        self.title = (kind if kind == "bool" else f"{kind}{8 * int(match[2])}") if match else ascii(name[:20])

    @property
    def is_whole(self) -> bool:
        """True for bool and for integers in the byte order of all machines today."""
        is_whole = self.name in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
        return is_whole and (self.item_bytes == 1 or self.order == "<")

    def __setstate__(self, state: Any) -> None:
        """Take the byte order from the state of a dtype."""
        order = state[1]
        self.order = order.decode("ascii") if type(order) is bytes else order
        if self.order not in ("|", "<", ">"):
            raise ValueError


class ArrayOf:
    """The replacement of an array: its type, its shape and its content, which nothing reads here."""

    __slots__ = ("content", "dtype", "shape")

    dtype: TypeName
    shape: tuple[int, ...]
    content: bytes | Stored

    def __setstate__(self, state: Any) -> None:
        """Take the state of an array."""
        _, shape, dtype, by_column, content = state
        self.fill(content, dtype, shape)
        if by_column and not self.is_flat:
            raise ValueError

    def fill(self, content: Any, dtype: Any, shape: Any) -> None:
        """Set the array. Raises TypeError and ValueError unless *content* is as long as type and shape say."""
        if type(dtype) is not TypeName or type(shape) is not tuple or not 0 < len(shape) <= MAX_DIMENSIONS:
            raise TypeError
        if not all(type(edge) is int and 0 <= edge < 1 << 48 for edge in shape):
            raise ValueError
        if dtype.item_bytes is not None:
            if type(content) not in (bytes, Stored) or len(content) != math.prod(shape) * dtype.item_bytes:
                raise ValueError
        elif type(content) not in (bytes, Stored):
            content = b""  # of objects: a list
        self.content, self.dtype, self.shape = content, dtype, shape

    @property
    def is_flat(self) -> bool:
        """True if the array is filled, and is a row or a column."""
        return hasattr(self, "shape") and (len(self.shape) == 1 or self.shape[1:] == (1,))


class NumpyNumber:
    """The replacement of a single number of numpy: *value* is None unless it is a bool or an integer."""

    __slots__ = ("dtype", "value")

    def __init__(self, dtype: TypeName, value: int | bool | None) -> None:
        self.dtype, self.value = dtype, value


def described_value(value: Any) -> str:
    """Return in a few words what a *value* of a pickle is, for messages."""
    if isinstance(value, ArrayOf):
        return f"{_article(value.dtype.title)} array {value.shape}" if hasattr(value, "shape") else "an empty array"
    if isinstance(value, NumpyNumber):
        return f"{_article(value.dtype.title)} of numpy"
    if isinstance(value, (bytes, Stored)):
        return counted(len(value), "byte")
    if type(value) in (list, tuple):
        return f"a {type(value).__name__} of {len(value):,}"
    names = {str: "a text", _Text: "a text", int: "a number", float: "a number", bool: "a truth value"}
    return "None" if value is None else names.get(type(value), "something else")


def whole_number(value: Any) -> int | None:
    """Return *value* if it is an integer or a truth value, of numpy too; else None."""
    number = value.value if isinstance(value, NumpyNumber) else value
    return number if type(number) in (int, bool) else None


def _article(word: str) -> str:
    return f"{'an' if word[:3] == 'int' else 'a'} {word}"


class BinUnpickler(RestrictedUnpickler):
    """The unpickler of a file with long bytes and arrays, which it only finds: no dictionaries, few opcodes.

    *used* are the names that the pickle has asked for, as (module, name).
    """

    def __init__(self, source: Source, kind: str) -> None:
        names = numpy_names(
            dtype=Name(_dtype),
            reconstruct=Name(_reconstruct),
            from_buffer=Name(_from_buffer),
            scalar=Name(self._scalar),
        )
        limit = min(MAX_OPCODES, SPARE_OPCODES + source.size // BYTES_PER_OPCODE)
        names[ENCODE] = Name(self._encode)
        names |= dict.fromkeys(_OF_BYTES, Name(self._bytes)) | dict.fromkeys(_OF_BYTEARRAYS, Name(self._bytearray))
        super().__init__(source, names, PLAIN_OPCODES, max_opcodes=limit, kind=kind)
        self.used: set[tuple[str, str]] = set()
        self._source = source

    @property
    def protocol(self) -> int:
        """Protocol of the pickle, as it says itself; 0 and 1, which do not say it, are told by their first opcodes."""
        return self.proto or int(_PROTOCOL_1.match(self._source.read_at(0, _START_BYTES)) is not None)

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of ``module.name``, and note that it was used."""
        found = super().find_class(module, name)
        self.used.add((module, name))
        return found

    def _push(self, size: int, kind: str) -> None:
        """Push the next *size* bytes."""
        if size <= SHORT_BYTES:
            self.append(self.read(size))
        else:
            self.append(Stored(self.content.at, size, size, _RAW, kind))
            self.content.skip(size)

    def _push_text(self, size: int) -> None:
        if size <= SHORT_BYTES:
            self.append(str(self.read(size), "utf-8", "surrogatepass"))
        else:
            self.append(_Text(self.content.at, size, _UTF_8))
            self.content.skip(size)

    def _load_string(self) -> None:
        at = self.content.at
        line = self.content.readline()[:-1]
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b'"', b"'"):
            raise ValueError
        content = _FORMS[_ESCAPED](line[1:-1])
        is_short = len(content) <= SHORT_BYTES
        self.append(content if is_short else Stored(at + 1, len(line) - 2, len(content), _ESCAPED, STR))

    def _load_unicode(self) -> None:
        at = self.content.at
        line = self.content.readline()[:-1]
        is_short = len(line) <= SHORT_BYTES
        self.append(str(line, "raw-unicode-escape") if is_short else _Text(at, len(line), _UNICODE))

    def _encode(self, text: Any, encoding: Any) -> bytes | Stored:
        """Replace ``_codecs.encode``, by which Python 3 writes bytes in protocols 0 to 2."""
        if encoding not in _LATIN_1:
            raise ValueError
        if type(text) is str:
            return text.encode("latin-1")
        if type(text) is not _Text:
            raise TypeError
        if text.encoded is None:  # each text is converted once, however often it is named
            content = _FORMS[text.form](self._source.read_at(text.offset, text.size))
            text.encoded = Stored(text.offset, text.size, len(content), text.form, BYTES)
        return text.encoded

    def _bytes(self, content: Any = b"", *encoding: Any) -> Any:
        """Replace ``bytes``, which Python 3 names for empty ones below protocol 3."""
        if encoding:
            return self._encode(content, *encoding)
        if type(content) not in (bytes, Stored):  # a number would be a length to allocate
            raise TypeError
        return content

    def _bytearray(self, content: Any = b"", *encoding: Any) -> Any:
        """Replace ``bytearray``, which is named below protocol 5."""
        found = self._bytes(content, *encoding)
        return Stored(found.offset, found.size, found.length, found.form, BYTEARRAY) if type(found) is Stored else found

    def _scalar(self, dtype: Any, content: Any) -> NumpyNumber:
        """Replace numpy's ``scalar``: return a bool or an integer, or nothing but the type of another number."""
        if type(dtype) is not TypeName or type(content) not in (bytes, Stored):
            raise TypeError
        if dtype.item_bytes is not None and len(content) != dtype.item_bytes:
            raise ValueError
        if not dtype.is_whole:
            return NumpyNumber(dtype, None)
        number = int.from_bytes(content, "little", signed=dtype.name[0] == "i")
        return NumpyNumber(dtype, bool(number) if dtype.name == "b1" else number)

    functions: ClassVar[dict[int, Callable[[Any], None]]] = {
        pickle.STRING[0]: _load_string,
        pickle.UNICODE[0]: _load_unicode,
    }


def _counted_push(push: Callable[..., None], width: int, *words: str) -> Callable[[Any], None]:
    """Return the function of an opcode that is followed by a length of *width* bytes and so many bytes."""

    def load(unpickler: BinUnpickler) -> None:
        push(unpickler, int.from_bytes(unpickler.read(width), "little"), *words)

    return load


for _code, _width, _kind in (
    *((pickle.BINSTRING, 4, STR), (pickle.SHORT_BINSTRING, 1, STR), (pickle.BYTEARRAY8, 8, BYTEARRAY)),
    *((pickle.SHORT_BINBYTES, 1, BYTES), (pickle.BINBYTES, 4, BYTES), (pickle.BINBYTES8, 8, BYTES)),
):
    BinUnpickler.functions[_code[0]] = _counted_push(BinUnpickler._push, _width, _kind)  # noqa: SLF001
for _code, _width in ((pickle.SHORT_BINUNICODE, 1), (pickle.BINUNICODE, 4), (pickle.BINUNICODE8, 8)):
    BinUnpickler.functions[_code[0]] = _counted_push(BinUnpickler._push_text, _width)  # noqa: SLF001


def _dtype(name: Any, *_: Any) -> TypeName:
    """Replace ``numpy.dtype``."""
    if type(name) is bytes:
        name = name.decode("ascii")
    if type(name) is not str:
        raise TypeError
    return TypeName(name)


def _reconstruct(kind: Any, shape: Any, code: Any) -> ArrayOf:
    """Replace numpy's ``_reconstruct``: return an array that is filled later; its shape must be ``(0,)``."""
    if kind is not NDARRAY or type(shape) is not tuple or len(shape) != 1 or type(shape[0]) is not int or code != b"b":
        raise TypeError
    if shape[0]:
        number = f"{shape[0]:,}" if 0 <= shape[0] < 1 << 64 else "too many"
        raise RefusedPickleError(f"asks for an array of {number} elements before any content")
    return ArrayOf()


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> ArrayOf:
    """Replace numpy's ``_frombuffer``."""
    array = ArrayOf()
    array.fill(content, dtype, shape)
    if order != "C" and not array.is_flat:
        raise ValueError
    return array
