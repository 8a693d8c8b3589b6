"""Array files, as ``mx.nd.save`` writes them and as ``mean_img`` names one: decode and encode their bytes.

::

    u64 0x112 | u64 0 | u64 count | count arrays | u64 names | names x (u64 length, bytes)

There are as many names as arrays, or none. An array as MXNet 1.x writes it (V2)::

    u32 0xF993FAC9 | i32 storage type 0 | i32 ndim | ndim x i64 | i32 device type | i32 device id
    | i32 element type | data in C order

Three other layouts are read: V3 (0xF993FACA) differs in the first number only, V1 (0xF993FAC8) lacks the storage type,
and the oldest starts with ndim and has u32 sizes. Everything is little-endian, nothing is aligned.

Source: mxnet src/ndarray/ndarray.cc, ``NDArray::Save``, ``Load`` and ``LegacyLoad``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError, ParameterError

FILE_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DENSE = 0
_CPU = (1, 0)  # device type and id
_MAX_NDIM = 32  # numpy's own limit before 2.0
_MIN_ARRAY_BYTES, _MIN_NAME_BYTES = 4, 8  # size of the first field of an array and of a name
_MAKE_AGAIN = "make or fetch the file again"

# Element types by their number in the file.
_DTYPES: dict[int, np.dtype[Any]] = dict(
    enumerate(np.dtype(name) for name in ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8"))
)
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}


class NamedArray(NamedTuple):
    """An array of a file; *name* is None when the arrays of the file have no names."""

    name: str | None
    array: npt.NDArray[Any]


def decode_single(data: bytes) -> NamedArray:
    """Return the array in *data*, the bytes of a file that holds exactly one, as a ``mean_img`` does.

    Raises InputError for any other number of arrays, and for every file that :func:`decode_arrays` refuses.
    """
    arrays = decode_arrays(data)
    if len(arrays) != 1:
        raise InputError(f"expected one array, found {len(arrays)}", hint="keep one: mx.nd.save(path, [array])")
    return arrays[0]


def decode_arrays(data: bytes) -> list[NamedArray]:
    """Return the arrays in *data*, the bytes of a whole file, in file order.

    Each array is new, writable and of the dtype in the file: float32, float64, float16, uint8, int32, int8 or int64.
    Raises InputError, with the offset of the wrong byte, for other dtypes, damage, bytes after the last name, sparse
    arrays, and arrays without elements.
    """
    fields = _Fields(data)
    if (magic := fields.number("<Q", "the number of an array file")) != FILE_MAGIC:
        raise fields.error(0, f"expected the number {FILE_MAGIC:#x} of an array file, found {magic:#x}")
    fields.number("<Q", "a reserved number")
    arrays = [_decode_array(fields) for _ in range(fields.count("arrays", _MIN_ARRAY_BYTES))]
    start = fields.offset
    names: list[str | None] = [_decode_name(fields) for _ in range(fields.count("names", _MIN_NAME_BYTES))]
    if names and len(names) != len(arrays):
        raise fields.error(start, f"expected as many names as arrays, {len(arrays)}, or none, found {len(names)}")
    if fields.bytes_left:
        raise fields.error(fields.offset, f"expected the end, found {fields.bytes_left} bytes more")
    return [NamedArray(name, array) for name, array in zip(names or [None] * len(arrays), arrays, strict=True)]


def encode_arrays(arrays: Sequence[NamedArray]) -> bytes:
    """Return the bytes of a file that holds *arrays*, identical to those that MXNet 1.9.1 on a CPU writes.

    Raises ParameterError for an array that :func:`decode_arrays` would refuse, and when only some arrays have a name.
    """
    names = [name.encode() for name, _ in arrays if name is not None]
    if len(names) not in (0, len(arrays)):
        raise ParameterError(f"{len(names)} of {len(arrays)} arrays have a name: give one to all, or to none")
    fields = [struct.pack("<QQQ", FILE_MAGIC, 0, len(arrays)), *(_encode_array(array) for _, array in arrays)]
    fields += [struct.pack("<Q", len(names)), *(struct.pack("<Q", len(name)) + name for name in names)]
    return b"".join(fields)


class _Fields:
    """Reads the fields of *data* one after another; raises InputError with the offset of a field that is cut short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    @property
    def bytes_left(self) -> int:
        """Bytes after the current offset."""
        return len(self._data) - self.offset

    def error(self, offset: int, problem: str, hint: str = _MAKE_AGAIN) -> InputError:
        """Return an InputError for a *problem* at *offset*; the caller raises it."""
        return InputError(problem, offset=offset, hint=hint)

    def take(self, length: int, what: str) -> bytes:
        """Return the next *length* bytes; *what* names them in the error message."""
        if length > self.bytes_left:
            raise self.error(self.offset, f"expected {what} of {length} bytes, found {self.bytes_left}")
        self.offset += length
        return self._data[self.offset - length : self.offset]

    def numbers(self, layout: str, what: str) -> tuple[int, ...]:
        """Return the next numbers, unpacked by the struct format *layout*."""
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def number(self, layout: str, what: str) -> int:
        """Return the next number."""
        return self.numbers(layout, what)[0]

    def count(self, what: str, min_bytes: int) -> int:
        """Return the number of items that follow, checked against the bytes left: an item takes *min_bytes* or more."""
        start, count = self.offset, self.number("<Q", f"the number of {what}")
        if count * min_bytes > self.bytes_left:
            raise self.error(start, f"expected {count} {what}, but only {self.bytes_left} bytes follow")
        return count


def _decode_array(fields: _Fields) -> npt.NDArray[Any]:
    shape = _decode_shape(fields)
    fields.numbers("<2i", "a device type and id")
    start, number = fields.offset, fields.number("<i", "an element type")
    if number not in _DTYPES:
        known = ", ".join(f"{known} ({dtype.name})" for known, dtype in _DTYPES.items())
        raise fields.error(start, f"expected one of the element types {known}, found {number}")
    dtype = _DTYPES[number]
    data = fields.take(math.prod(shape) * dtype.itemsize, f"an array {'x'.join(map(str, shape))} of {dtype.name}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _decode_shape(fields: _Fields) -> tuple[int, ...]:
    """Read an array's fields up to its shape, in any of the four layouts; () is the scalar of V3."""
    start, first = fields.offset, fields.number("<I", "an array's number")
    if first in (_V2, _V3) and (storage := fields.number("<i", "a storage type")) != _DENSE:
        hint = "save the dense array: array.tostype('default')"
        raise fields.error(start + 4, f"expected the storage type {_DENSE}, found {storage}", hint)
    versioned = first in (_V1, _V2, _V3)
    start = fields.offset if versioned else start
    ndim = fields.number("<i", "a number of dimensions") if versioned else first
    if not 0 <= ndim <= _MAX_NDIM or (ndim == 0 and first != _V3):  # before V3, 0 means an NDArray without data
        raise fields.error(start, f"expected 1 to {_MAX_NDIM} dimensions, found {ndim}")
    start = fields.offset
    shape = fields.numbers(f"<{ndim}{'q' if versioned else 'I'}", "a shape")
    if any(size < 1 for size in shape):
        raise fields.error(start, f"expected sizes of 1 or more, found {'x'.join(map(str, shape))}")
    return shape


def _decode_name(fields: _Fields) -> str:
    start, length = fields.offset, fields.number("<Q", "the length of a name")
    name = fields.take(length, "a name")
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise fields.error(start + 8, f"expected a name in UTF-8, found {name[:20]!r}") from None


def _encode_array(array: npt.NDArray[Any]) -> bytes:
    dtype = array.dtype.newbyteorder("<")
    if dtype not in _NUMBERS or not array.size or not 0 < array.ndim <= _MAX_NDIM:
        problem = f"an array file cannot hold an array of {array.dtype} and shape {array.shape}"
        known = ", ".join(known.name for known in _NUMBERS)
        raise ParameterError(problem, hint=f"it can hold {known}, of 1 to {_MAX_NDIM} dimensions, not empty")
    head = struct.pack(f"<Iii{array.ndim}q", _V2, _DENSE, array.ndim, *array.shape)
    return head + struct.pack("<3i", *_CPU, _NUMBERS[dtype]) + array.astype(dtype).tobytes()
