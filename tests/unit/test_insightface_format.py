from __future__ import annotations

import pytest

from im2rec.errors import InputError, ParameterError
from im2rec.format.insightface import Property, check_exact, parse_property, property_text, range_frames, range_payload
from im2rec.format.irheader import decode_image_record
from im2rec.format.mapfile import map_lines
from im2rec.format.recordio import decode_record, encode_record


def frames(first_keys: list[int], images: int) -> list[tuple[int, list[float]]]:
    found = []
    for key, frame in range_frames(first_keys, images, len(first_keys)):
        header, content = decode_image_record(decode_record(frame))
        assert (key, 2, 0, b"") == (header.id, header.flag, header.id2, content)
        found.append((key, header.label.tolist()))
    return found


def test_header_and_identity_records_hold_ranges_of_keys() -> None:
    assert [(0, [13, 17]), (13, [1, 4]), (14, [4, 7]), (15, [7, 10]), (16, [10, 13])] == frames([1, 4, 7, 10], 12)


def test_a_set_without_images_has_a_header_alone() -> None:
    assert [(0, [1, 1])] == frames([], 0)


def test_header_and_identity_record_are_those_of_the_published_writers() -> None:
    expected = (
        "0a23d7ce20000000020000000000000000000000000000000000000000000000000050410000884100",
        "0a23d7ce2000000002000000000000000d0000000000000000000000000000000000803f0000804000",
    )
    pieces = [frame for _, frame in range_frames([1, 4, 7, 10], 12, 4)]
    assert [text[:80] for text in expected] == [piece.hex() for piece in pieces[:2]]


def test_frames_are_those_of_the_encoder_for_the_smallest_and_the_largest_keys() -> None:
    found = list(range_frames([1, 2, 16_777_212], 16_777_212, 3))
    ranges = [(0, 16_777_213, 16_777_216), (16_777_213, 1, 2), (16_777_214, 2, 16_777_212)]
    ranges.append((16_777_215, 16_777_212, 16_777_213))
    assert [(key, encode_record(range_payload(key, first, stop))) for key, first, stop in ranges] == found


def test_keys_that_float32_would_round_are_refused() -> None:
    check_exact(16_777_000, 215)
    with pytest.raises(ParameterError, match=r"16,777,000 images and 216 identities need keys up to 16,777,217"):
        check_exact(16_777_000, 216)
    with pytest.raises(ParameterError, match="--no-header"):
        next(range_frames([1], 16_777_216, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"93431,112,112\n", Property(93431, 112, 112)),
        (b"4,112,96", Property(4, 112, 96)),
        (b"4,16,16\n12\n", Property(4, 16, 16, 12)),
        (b"4,16,16\r\n12\r\nshuffled\r\n2021-01-01\r\n", Property(4, 16, 16, 12)),
    ],
)
def test_all_forms_of_a_property_file_are_read(text: bytes, expected: Property) -> None:
    assert expected == parse_property(text)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (b"", 1, "expected classes,height,width, found ''"),
        (b"4,16", 1, "found '4,16'"),
        (b"-4,16,16", 1, "found '-4,16,16'"),
        (b"4,16,16.5", 1, "found '4,16,16.5'"),
        ("\u0664,16,16".encode(), 1, "found"),
        (b"4,16,16\nmany", 2, "expected the number of images, found 'many'"),
        (b"4,16,16\n1\n2\n3\n4", 5, "expected at most 4 lines, found 5"),
        (b"\xff" * 1000, 1, "found"),
    ],
)
def test_any_other_property_file_is_refused_by_its_line(text: bytes, line: int, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        parse_property(text)
    assert line == caught.value.line


def test_the_written_property_is_one_line() -> None:
    assert b"4,16,8\n" == property_text(4, 16, 8)
    assert Property(4, 16, 8) == parse_property(property_text(4, 16, 8))


def test_a_map_is_a_table_with_the_names_of_its_columns() -> None:
    assert b"label\tname\n0\tAda\n1\tB\xc3\xa9a\n" == b"".join(map_lines(("label", "name"), [0, 1], ["Ada", "Béa"]))
    assert 10_001 == b"".join(map_lines(("label",), range(10_000))).count(b"\n")
