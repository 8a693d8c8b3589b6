"""The image header: its 24 bytes, label vectors, and what is refused."""

from __future__ import annotations

import decimal
import fractions
import math
import struct
from typing import Any

import numpy as np
import pytest
from helpers import message_of

from im2rec.errors import CorruptRecordError, RecordTooLargeError
from im2rec.format.irheader import (
    ImageRecord,
    IRHeader,
    RawHeader,
    decode_image_record,
    encode_image_record,
    float32,
    parse_header,
)

BIGGEST = 2**64 - 1


def raw(flag: int, label: float, id_: int, id2: int = 0) -> bytes:
    return struct.pack("<IfQQ", flag, label, id_, id2)


def test_a_number_stands_in_the_label_field() -> None:
    payload = encode_image_record(IRHeader(0, 3.5, 7, 8), b"JPEG")

    assert bytes.fromhex("00000000 00006040 0700000000000000 0800000000000000") + b"JPEG" == payload
    assert ImageRecord(IRHeader(0, 3.5, 7, 8), b"JPEG") == decode_image_record(payload)


def test_a_vector_stands_behind_the_header_and_leaves_zero_in_the_field() -> None:
    payload = encode_image_record(IRHeader(0, [1, 2.5, -3], 9), b"JPEG")

    assert raw(3, 0.0, 9) + struct.pack("<3f", 1, 2.5, -3) + b"JPEG" == payload
    header, content = decode_image_record(payload)
    assert (3, [1, 2.5, -3], 9, 0, b"JPEG") == (header.flag, header.label.tolist(), header.id, header.id2, content)
    assert np.float32 == header.label.dtype


def test_the_field_beside_a_vector_can_be_what_the_cpp_tool_leaves_there() -> None:
    assert raw(2, 7.0, 9) == encode_image_record(IRHeader(0, [7, 8], 9), b"", label_field=7)[:24]


def test_the_field_beside_a_number_is_the_number() -> None:
    assert raw(0, 5.0, 1) == encode_image_record(IRHeader(0, 5, 1), b"", label_field=9)
    assert raw(0, 0.0, 1) == encode_image_record(IRHeader(0, [], 1), b"", label_field=9)


NUMBERS: list[Any] = [1, 1.0, True, np.float64(1), np.int8(1), np.uint64(1), np.float16(1), fractions.Fraction(1)]


def test_any_real_number_is_a_number() -> None:
    for label in NUMBERS:
        assert raw(0, 1.0, 5) + b"x" == encode_image_record(IRHeader(4, label, 5), b"x"), type(label)


def test_a_decimal_is_a_number_as_it_is_for_mxnet() -> None:
    # mxnet.recordio.pack asks isinstance(label, numbers.Number), and Decimal is one though not a numbers.Real.
    assert raw(0, 1.5, 5) == encode_image_record(IRHeader(0, decimal.Decimal("1.5"), 5), b"")


VECTORS: list[Any] = [[1.0], (1,), np.array(1), np.array([1], ">i8"), np.array([[1.0]]), np.bool_(True), range(1, 2)]


def test_what_is_no_plain_number_is_a_vector_even_of_one_label() -> None:
    for label in VECTORS:
        assert raw(1, 0.0, 5) + struct.pack("<f", 1) == encode_image_record(IRHeader(0, label, 5), b""), repr(label)


def test_an_array_of_any_shape_is_stored_in_c_order() -> None:
    labels = np.arange(6).reshape(2, 3)
    payload = encode_image_record(IRHeader(0, labels.T, 1), b"")

    assert [0, 3, 1, 4, 2, 5] == decode_image_record(payload).header.label.tolist()


def test_labels_are_rounded_to_float32_and_overflow_to_infinity() -> None:
    labels = decode_image_record(encode_image_record(IRHeader(0, [2**24 + 1, 0.1, 1e39, -1e39, -0.0], 1), b""))[0].label

    assert [2.0**24, 0.10000000149011612, math.inf, -math.inf, 0.0] == labels.tolist()
    assert -1.0 == math.copysign(1, labels[4])
    assert math.isnan(decode_image_record(encode_image_record(IRHeader(0, math.nan, 1), b"")).header.label)


def test_an_integer_too_large_for_a_double_becomes_infinity_too() -> None:
    assert raw(0, math.inf, 1) == encode_image_record(IRHeader(0, 10**400, 1), b"")
    assert [math.inf, -math.inf] == float32([10**400, -(10**400)]).tolist()


NO_LABELS: dict[str, Any] = {
    "'3'": "3",
    "None": None,
    "1j": 1j,
    "[[1], [2, 3]]": [[1], [2, 3]],
    "{1: 2}": {1: 2},
    "b'5'": b"5",
    "[None]": [None],
}


def test_a_label_that_is_no_number_is_refused() -> None:
    for shown, label in NO_LABELS.items():
        message = f"label={shown} must be a number or a sequence of numbers"
        assert message == message_of(encode_image_record, IRHeader(0, label, 1), b"")


def test_ids_of_64_bits_are_kept_whole() -> None:
    payload = encode_image_record(IRHeader(0, 1, np.uint64(BIGGEST), BIGGEST), b"")

    assert RawHeader(0, 1.0, BIGGEST, BIGGEST) == parse_header(payload)


def test_an_id_outside_64_bits_is_refused() -> None:
    for field, value in (("id", -1), ("id", 2**64), ("id2", -1), ("id", 1.0), ("id2", None)):
        header = IRHeader(0, 1, 1)._replace(**{field: value})
        message = f"{field}={value} must be an integer from 0 to 18446744073709551615"
        assert message == message_of(encode_image_record, header, b"")


def test_a_payload_too_long_for_the_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.errors.MAX_PAYLOAD", 30)

    assert 30 == len(encode_image_record(IRHeader(0, 1, 1), b"sixsix"))
    with pytest.raises(RecordTooLargeError, match=r"^a payload of 31 bytes exceeds 30 \(lower the quality, or resize"):
        encode_image_record(IRHeader(0, 1, 1), b"seven77")


def test_a_payload_shorter_than_its_header_is_corrupt() -> None:
    for read in (parse_header, decode_image_record):
        for size in (0, 1, 23):
            with pytest.raises(CorruptRecordError, match=f"^expected 24 bytes of image header, found {size}$"):
                read(bytes(size))


def test_a_payload_shorter_than_its_labels_is_corrupt() -> None:
    for flag in (3, 2**32 - 1):
        message = f"expected {flag} labels behind the header, found 2"
        assert message == message_of(decode_image_record, raw(flag, 0, 1) + bytes(11))


def test_only_24_bytes_are_needed_to_parse_a_header() -> None:
    header = parse_header(raw(2**32 - 1, 1.5, 3, 4))

    assert RawHeader(2**32 - 1, 1.5, 3, 4) == header
    assert 24 + 4 * (2**32 - 1) == header.content_start


def test_the_content_may_be_empty_and_the_labels_are_a_copy() -> None:
    payload = bytearray(encode_image_record(IRHeader(0, [1, 2], 1), b""))
    header, content = decode_image_record(bytes(payload))

    assert b"" == content
    header.label[0] = 9  # writable, and nobody else's
    assert [1, 2] == decode_image_record(bytes(payload)).header.label.tolist()
