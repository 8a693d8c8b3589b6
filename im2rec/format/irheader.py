"""The 24-byte image header in front of every image, and the label vector that may follow it.

::

    flag u32 | label f32 | id u64 | id2 u64 | flag x f32 labels | content (an encoded image, or nothing)

``flag`` 0: the label stands in the ``label`` field. Above 0: that many labels follow, and readers ignore the field;
Python's writer leaves 0.0 there, the C++ tool the first label. Everything is little-endian, nothing is aligned.

Source: mxnet python/mxnet/recordio.py, ``pack`` and ``unpack``; src/io/image_recordio.h.
"""

from __future__ import annotations

import math
import numbers
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, ParameterError, check_payload

SHORT_PAYLOAD, BAD_LABELS = "too short for an image header", "labels longer than the record"

HEADER_BYTES = 24
MAX_ID = 2**64 - 1
MAX_FLOAT32 = 3.4e38  # a little below the largest: what is above takes the careful way
Labels = npt.NDArray[np.float32]

_HEADER = struct.Struct("<IfQQ")
# The same fields for many records at once, and behind them the first two labels of a vector.
HEADER_FIELDS = np.dtype([("flag", "<u4"), ("label", "<f4"), ("id", "<u8"), ("id2", "<u8"), ("vector", "<f4", 2)])


class IRHeader(NamedTuple):
    """Header of an image record, fields as in ``mxnet.recordio.IRHeader``.

    *label* is a float when *flag* is 0, else a float32 array of *flag* labels. *id* and *id2* are 0 to 2**64 - 1.
    """

    flag: int
    label: Any
    id: int
    id2: int = 0


class ImageRecord(NamedTuple):
    """An image record: its header, and the encoded image as it is stored."""

    header: IRHeader
    content: bytes


class RawHeader(NamedTuple):
    """The four fields of the 24 bytes as they are stored, whatever follows them."""

    flag: int
    label: float
    id: int
    id2: int

    @property
    def content_start(self) -> int:
        """Where the content starts in the payload, behind header and labels."""
        return HEADER_BYTES + 4 * self.flag


def parse_header(payload: bytes) -> RawHeader:
    """The stored header fields of *payload*; only its first ``HEADER_BYTES`` bytes are looked at.

    Raises CorruptRecordError when the payload is shorter.
    """
    _check_length(len(payload))
    return RawHeader(*_HEADER.unpack_from(payload))


def _check_length(payload_bytes: int) -> None:
    if payload_bytes < HEADER_BYTES:
        raise CorruptRecordError(f"expected {HEADER_BYTES} bytes of image header, found {payload_bytes}")


def decode_image_record(payload: bytes) -> ImageRecord:
    """Split *payload* into header, labels and content; labels are copied into an array of their own.

    Raises CorruptRecordError for a payload shorter than its header or its labels.

    Source: mxnet python/mxnet/recordio.py, ``unpack``.
    """
    return image_record_in(payload, 0, len(payload))


def image_record_in(data: bytes, start: int, stop: int) -> ImageRecord:
    """As :func:`decode_image_record`, of the payload ``data[start:stop]``, which is not copied on its own first."""
    _check_length(stop - start)
    flag, label, id_, id2 = _HEADER.unpack_from(data, start)
    behind = start + HEADER_BYTES
    if flag == 0:
        return ImageRecord(IRHeader(0, label, id_, id2), data[behind:stop])
    content = behind + 4 * flag
    if stop < content:
        raise CorruptRecordError(f"expected {flag} labels behind the header, found {(stop - behind) // 4}")
    labels = np.frombuffer(data, "<f4", flag, behind).astype(np.float32)
    return ImageRecord(IRHeader(flag, labels, id_, id2), data[content:stop])


def encode_image_record(header: IRHeader, content: bytes, *, label_field: float = 0.0) -> bytes:
    """The payload of an image record, ready to be framed.

    A number as ``header.label`` is stored in the label field, with flag 0. A sequence or array of any shape is stored
    as a vector in C order, also one of a single element; the label field then holds *label_field*. An empty one is
    stored like the number 0. ``header.flag`` is not looked at. Labels become float32: too large ones infinity.
    Raises ParameterError for an id outside 0 to 2**64 - 1 or a label that is no number, RecordTooLargeError.

    Source: mxnet python/mxnet/recordio.py, ``pack``; tools/im2rec.cc for *label_field*.
    """
    number, vector = _split_label(header.label, label_field)
    for name, value in (("id", header.id), ("id2", header.id2)):
        # type() first: asking an abstract class takes longer than all the rest of this function.
        if (type(value) is not int and not isinstance(value, numbers.Integral)) or not 0 <= value <= MAX_ID:
            raise ParameterError(f"{name}={value} must be an integer from 0 to {MAX_ID}")
    payload = _HEADER.pack(len(vector) // 4, number, int(header.id), int(header.id2)) + vector + content
    check_payload(payload)
    return payload


def float32(values: Any) -> Labels:
    """*values*, numbers in any nesting, as a float32 array; what is too large becomes infinity, without a warning.

    Raises TypeError for what is no number, ValueError for rows of different lengths.
    """
    array = np.asarray(values)
    if array.dtype == object:
        array = np.array([_as_float(value) for value in array.ravel()], np.float64).reshape(array.shape)
    elif array.dtype.kind not in "biuf":
        raise TypeError(f"{array.dtype} is no number")
    with np.errstate(over="ignore"):
        return array.astype("<f4")


def _as_float(value: Any) -> float:
    """A Decimal, a Fraction, or an integer beyond 64 bits."""
    if not isinstance(value, numbers.Number) or isinstance(value, complex):
        raise TypeError(f"{value!r} is no number")
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def _split_label(label: Any, label_field: float) -> tuple[float, bytes]:
    """The label field and the bytes of the label vector."""
    if type(label) is float and abs(label) < MAX_FLOAT32:
        return label, b""
    try:
        labels = float32(label)
    except (TypeError, ValueError):
        raise ParameterError(f"label={label!r} must be a number or a sequence of numbers") from None
    # numpy's own bool is no number to Python, nor is an array without axes: the reference writes both as vectors.
    if isinstance(label, numbers.Number):
        return float(labels), b""
    return (float(float32(label_field)) if labels.size else 0.0), labels.tobytes()
