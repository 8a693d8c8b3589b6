"""Image records: the 24-byte header at the start of a payload, the label vector that may follow it, and the content.

::

    flag u32 | label f32 | id u64 | id2 u64 | flag x f32 labels | content (an encoded image, or nothing)

With ``flag`` 0 the only label is in the ``label`` field. Above 0, ``flag`` labels follow the header, and readers ignore
the field: MXNet's Python writer stores 0.0 in it, the C++ tool the first label. Everything is little-endian, nothing is
aligned.

Source: mxnet python/mxnet/recordio.py, ``pack`` and ``unpack``; src/io/image_recordio.h.
"""

from __future__ import annotations

import math
import numbers
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import CorruptRecordError, ParameterError, as_bytes, check_payload, counted

SHORT_PAYLOAD, BAD_LABELS = "too short for an image header", "labels longer than the record"

HEADER_BYTES = 24
MAX_ID = 2**64 - 1
_SAFE_FLOAT32 = 3.4e38  # floats below this fit in float32, whose largest is 3.4028235e38, without rounding to infinity
Labels = npt.NDArray[np.float32]

_HEADER = struct.Struct("<IfQQ")
# numpy's type of the header fields, for many records at once, followed by the first two labels of a vector.
HEADER_FIELDS = np.dtype([("flag", "<u4"), ("label", "<f4"), ("id", "<u8"), ("id2", "<u8"), ("vector", "<f4", 2)])


class IRHeader(NamedTuple):
    """Header of an image record, with the fields of ``mxnet.recordio.IRHeader``.

    *label* is a float when *flag* is 0, else a float32 array of *flag* labels. *id* and *id2* are from 0 to 2**64 - 1.

    >>> with im2rec.open("photos_train.rec") as rec:
    ...     rec[5].header
    IRHeader(flag=0, label=2.0, id=15, id2=0)
    """

    flag: int
    label: Any
    id: int
    id2: int = 0


class ImageRecord(NamedTuple):
    """An image record: its header, an :class:`IRHeader`, and its content, the bytes of the encoded image.

    >>> with im2rec.open("photos_train.rec") as rec:
    ...     header, content = rec[5]
    >>> header.id, content[:4]
    (15, b'\\xff\\xd8\\xff\\xe0')
    """

    header: IRHeader
    content: bytes


class RawHeader(NamedTuple):
    """The four stored fields of the 24-byte header; *label* is the label field even when a label vector follows."""

    flag: int
    label: float
    id: int
    id2: int

    @property
    def content_start(self) -> int:
        """Offset of the content in the payload: the bytes of header and label vector."""
        return HEADER_BYTES + 4 * self.flag


def parse_header(payload: bytes) -> RawHeader:
    """Read the header fields of *payload*, of which only the first ``HEADER_BYTES`` bytes are needed.

    Raises CorruptRecordError when *payload* is shorter than that.
    """
    _check_length(len(payload))
    return RawHeader(*_HEADER.unpack_from(payload))


def _check_length(payload_bytes: int) -> None:
    if payload_bytes < HEADER_BYTES:
        raise CorruptRecordError(f"expected {HEADER_BYTES} bytes of image header, found {payload_bytes}")


def decode_image_record(payload: bytes) -> ImageRecord:
    """Split *payload* into header, labels and content; a label vector is copied into a new, writable array.

    Raises CorruptRecordError when the payload ends within its header or its labels, ParameterError if it is not bytes.

    >>> payload = im2rec.encode_image_record(im2rec.IRHeader(0, 1.0, 7), b"the encoded image")
    >>> im2rec.decode_image_record(payload)
    ImageRecord(header=IRHeader(flag=0, label=1.0, id=7, id2=0), content=b'the encoded image')

    Source: mxnet python/mxnet/recordio.py, ``unpack``.
    """
    payload = as_bytes(payload, "a payload")
    return decode_image_record_at(payload, 0, len(payload))


def labels_of(header: IRHeader) -> list[float]:
    """Return the labels of *header* as a list, of one element for a single label."""
    return [header.label] if header.flag == 0 else list(header.label)


def decode_image_record_at(data: bytes, start: int, stop: int) -> ImageRecord:
    """Decode the payload ``data[start:stop]`` without copying it first; otherwise :func:`decode_image_record`."""
    _check_length(stop - start)
    flag, label, id_, id2 = _HEADER.unpack_from(data, start)
    labels_start = start + HEADER_BYTES
    if flag == 0:
        return ImageRecord(IRHeader(0, label, id_, id2), data[labels_start:stop])
    content_start = labels_start + 4 * flag
    if stop < content_start:
        raise CorruptRecordError(f"expected {flag} labels after the header, found {(stop - labels_start) // 4}")
    labels = np.frombuffer(data, "<f4", flag, labels_start).astype(np.float32)
    return ImageRecord(IRHeader(flag, labels, id_, id2), data[content_start:stop])


def encode_image_record(header: IRHeader, content: bytes, *, label_field: float = 0.0) -> bytes:
    """Return the payload of an image record, for :func:`~im2rec.format.recordio.encode_record` to frame.

    A number as ``header.label`` is stored in the label field, with flag 0. A sequence or array of any shape, even of a
    single element, is stored as a label vector in C order, and *label_field* in the label field. An empty one is stored
    like the number 0. ``header.flag`` is ignored. Labels are converted to float32; those too large become infinity.
    Raises ParameterError for an id outside 0 to 2**64 - 1, for a label that is not a number, and for *content* that is
    not bytes, RecordTooLargeError for a payload that no record can hold.

    >>> payload = im2rec.encode_image_record(im2rec.IRHeader(0, [1.0, 0.5], 7), b"the encoded image")
    >>> im2rec.decode_image_record(payload).header
    IRHeader(flag=2, label=array([1. , 0.5], dtype=float32), id=7, id2=0)

    Source: mxnet python/mxnet/recordio.py, ``pack``; tools/im2rec.cc for *label_field*.
    """
    content = as_bytes(content, "content")
    number, vector = _split_label(header.label, label_field)
    for name, value in (("id", header.id), ("id2", header.id2)):
        # type() first: isinstance() with an abstract class takes longer than the rest of this function.
        if (type(value) is not int and not isinstance(value, numbers.Integral)) or not 0 <= value <= MAX_ID:
            raise ParameterError(f"{name}={value} must be an integer from 0 to {MAX_ID}")
    payload = _HEADER.pack(len(vector) // 4, number, int(header.id), int(header.id2)) + vector + content
    check_payload(payload)
    return payload


def not_finite_problem(count: int, record: int, label: float) -> str:
    """Return a line on *count* records with a label that is not finite, the first of them number *record*."""
    records = counted(count, "record has", "records have")
    return f"{records} a label that is not a finite number; first: record {record}, {label:g}"


def float32(values: Any) -> Labels:
    """Convert a number, or nested sequences of numbers, to a new float32 array; values too large become infinity.

    No warning is given. Raises TypeError for values that are not numbers, ValueError for rows of different lengths.
    """
    array = np.asarray(values)
    if array.dtype == object:
        array = np.array([_as_float(value) for value in array.ravel()], np.float64).reshape(array.shape)
    elif array.dtype.kind not in "biuf":
        raise TypeError(f"{array.dtype} is not a type of numbers")
    with np.errstate(over="ignore"):
        return array.astype("<f4")


def _as_float(value: Any) -> float:
    """Convert a Decimal, a Fraction, or an integer of more than 64 bits."""
    if not isinstance(value, numbers.Number) or isinstance(value, complex):
        raise TypeError(f"{value!r} is not a number")
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def _split_label(label: Any, label_field: float) -> tuple[float, bytes]:
    """Return the value of the label field and the bytes of the label vector."""
    if type(label) is float and abs(label) < _SAFE_FLOAT32:  # nearly all labels: 0.4 us instead of 6
        return label, b""
    try:
        labels = float32(label)
    except (TypeError, ValueError):
        raise ParameterError(f"label={label!r} must be a number or a sequence of numbers") from None
    # Neither numpy's bool nor a 0-dimensional array is a numbers.Number; MXNet writes both as vectors.
    if isinstance(label, numbers.Number):
        return float(labels), b""
    return (float(float32(label_field)) if labels.size else 0.0), labels.tobytes()


def short_float(label: float) -> float:
    """Return the number with the fewest digits that float32 rounds to *label*: 0.1 for 0.10000000149011612."""
    # Integers are written in full: the shortest digits for 2**70, 1.1805916e+21, are those of another integer.
    return label if label.is_integer() else float(str(np.float32(label)))


def label_text(label: float) -> str:
    """Return *label* as text for names and lists: ``12``, ``0.1``, ``nan``, ``-inf``."""
    return str(int(label)) if label.is_integer() else str(short_float(label))
