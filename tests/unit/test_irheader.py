"""Image records: the 24 bytes of the header, label vectors, and refused labels and ids."""

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
    HEADER_FIELDS,
    ImageRecord,
    IRHeader,
    RawHeader,
    decode_image_record,
    decode_image_record_at,
    encode_image_record,
    float32,
    parse_header,
)

MAX_ID = 2**64 - 1


def raw(flag: int, label: float, id_: int, id2: int = 0) -> bytes:
    return struct.pack("<IfQQ", flag, label, id_, id2)


def test_a_number_is_stored_in_the_label_field() -> None:
    payload = encode_image_record(IRHeader(0, 3.5, 7, 8), b"JPEG")

    assert bytes.fromhex("00000000 00006040 0700000000000000 0800000000000000") + b"JPEG" == payload
    assert ImageRecord(IRHeader(0, 3.5, 7, 8), b"JPEG") == decode_image_record(payload)


def test_a_vector_is_stored_after_the_header_with_zero_in_the_label_field() -> None:
    payload = encode_image_record(IRHeader(0, [1, 2.5, -3], 9), b"JPEG")

    assert raw(3, 0.0, 9) + struct.pack("<3f", 1, 2.5, -3) + b"JPEG" == payload
    header, content = decode_image_record(payload)
    assert b"JPEG" == content
    assert (3, [1, 2.5, -3], 9, 0) == (header.flag, header.label.tolist(), header.id, header.id2)
    assert np.float32 == header.label.dtype


def test_the_label_field_of_a_vector_can_be_given_as_the_cpp_tool_writes_it() -> None:
    assert raw(2, 7.0, 9) == encode_image_record(IRHeader(0, [7, 8], 9), b"", label_field=7)[:24]


def test_label_field_is_ignored_for_a_number() -> None:
    assert raw(0, 5.0, 1) == encode_image_record(IRHeader(0, 5, 1), b"", label_field=9)


def test_an_empty_sequence_is_stored_like_the_number_zero() -> None:
    assert raw(0, 0.0, 1) == encode_image_record(IRHeader(0, [], 1), b"", label_field=9)


NUMBERS: list[Any] = [1, 1.0, True, np.float64(1), np.int8(1), np.uint64(1), np.float16(1), fractions.Fraction(1)]


def test_real_numbers_of_any_type_are_stored_in_the_label_field() -> None:
    for label in NUMBERS:
        assert raw(0, 1.0, 5) + b"x" == encode_image_record(IRHeader(4, label, 5), b"x"), type(label)


def test_a_decimal_is_stored_in_the_label_field_as_mxnet_does() -> None:
    # mxnet.recordio.pack tests isinstance(label, numbers.Number), and Decimal is one though not a numbers.Real.
    assert raw(0, 1.5, 5) == encode_image_record(IRHeader(0, decimal.Decimal("1.5"), 5), b"")


VECTORS: list[Any] = [[1.0], (1,), np.array(1), np.array([1], ">i8"), np.array([[1.0]]), np.bool_(True), range(1, 2)]


def test_sequences_and_arrays_are_stored_as_vectors_even_of_one_label() -> None:
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


def test_an_integer_too_large_for_a_double_becomes_infinity() -> None:
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
    "[Fraction(1, 2), '5']": [fractions.Fraction(1, 2), "5"],
    "[Fraction(1, 2), 1j]": [fractions.Fraction(1, 2), 1j],
}


def test_a_label_that_is_not_a_number_is_refused() -> None:
    for shown, label in NO_LABELS.items():
        message = f"label={shown} must be a number or a sequence of numbers"
        assert message == message_of(encode_image_record, IRHeader(0, label, 1), b"")


def test_the_largest_ids_of_64_bits_are_stored_exactly() -> None:
    payload = encode_image_record(IRHeader(0, 1, np.uint64(MAX_ID), MAX_ID), b"")

    assert RawHeader(0, 1.0, MAX_ID, MAX_ID) == parse_header(payload)


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
    for flag, left, labels in ((3, 11, 2), (5, 19, 4), (2**32 - 1, 0, 0)):
        message = f"expected {flag} labels after the header, found {labels}"
        assert message == message_of(decode_image_record, raw(flag, 0, 1) + bytes(left))


def test_a_payload_inside_other_bytes_is_decoded_in_place() -> None:
    number, vector = raw(0, 2.5, 7) + b"one", raw(2, 0.0, 8) + struct.pack("<2f", 3, 4) + b"two"
    data = b"before" + number + vector + b"after"

    assert (IRHeader(0, 2.5, 7), b"one") == decode_image_record_at(data, 6, 6 + len(number))
    header, content = decode_image_record_at(data, 6 + len(number), len(data) - 5)
    assert (2, [3, 4], 8, b"two") == (header.flag, header.label.tolist(), header.id, content)
    assert "expected 24 bytes of image header, found 23" == message_of(decode_image_record_at, data, 6, 29)
    assert "expected 2 labels after the header, found 1" == message_of(decode_image_record_at, data, 33, 33 + 31)


def test_the_fields_of_many_headers_are_read_at_once_with_two_labels_of_each() -> None:
    records = raw(0, 1.5, 7, 2) + b"contents" + raw(2, 0.0, MAX_ID, 3) + struct.pack("<2f", 4, 5)

    fields = np.frombuffer(records, HEADER_FIELDS)

    assert [0, 2] == fields["flag"].tolist()
    assert [1.5, 0.0] == fields["label"].tolist()
    assert [7, MAX_ID] == fields["id"].tolist()
    assert [2, 3] == fields["id2"].tolist()
    assert [4, 5] == fields["vector"][1].tolist()


def test_a_header_is_parsed_from_its_24_bytes_alone() -> None:
    header = parse_header(raw(2**32 - 1, 1.5, 3, 4))

    assert RawHeader(2**32 - 1, 1.5, 3, 4) == header
    assert 24 + 4 * (2**32 - 1) == header.content_start


def test_the_content_may_be_empty() -> None:
    assert b"" == decode_image_record(encode_image_record(IRHeader(0, [1, 2], 1), b"")).content


def test_decoded_labels_are_a_writable_copy() -> None:
    payload = encode_image_record(IRHeader(0, [1, 2], 1), b"")

    decode_image_record(payload).header.label[0] = 9

    assert [1, 2] == decode_image_record(payload).header.label.tolist()
