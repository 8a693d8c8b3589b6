"""Verification files as bytes: all published forms are read alike, all others refused, and ours are as Python's."""

from __future__ import annotations

import pickle
import random
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from bin_helpers import (
    ACCEPTED,
    BINS,
    BOMBS,
    OURS,
    REFUSED,
    bin_bytes,
    contents_of,
    expected_hashes,
    expected_same,
    hashes_of,
    skip_where_pickle_differs,
)
from helpers import message_of, peak_bytes

from im2rec.errors import InputError, ParameterError
from im2rec.format.binfile import decode_bin, encode_bin
from im2rec.format.recordio import BytesSource

FACES = [bytes([number]) * (300 + number) for number in range(12)]
SAME = [True, False, True, True, False, False]


def decoded(data: bytes) -> tuple[list[bytes], list[bool]]:
    found = decode_bin(BytesSource(data))
    return contents_of(found, BytesSource(data)), found.same


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_published_form_gives_the_same_images_and_truth_values(name: str) -> None:
    source = BytesSource((BINS / name).read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode_bin(source)

    assert expected_hashes(name) == hashes_of(contents_of(found, source))
    assert expected_same(name) == found.same
    expected = ACCEPTED[name]
    assert [len(content) for content in found.contents] == [len(content) for content in contents_of(found, source)]
    written_by = expected["written_by"]
    assert (expected["container"], written_by["protocol"], 0) == (found.container, found.protocol, found.trailing)
    assert {expected["bins"]: len(found.contents)} == found.images_as
    assert expected["issame_as"] == found.same_as
    assert set(expected["globals"]) == {f"{module}.{name}" for module, name in found.names}


WORDS = {
    "three_items.bin": "3 items",
    "embeddings.bin": "a float64 array (12, 4), not a list of images",
    "too_few.bin": "holds 10 images for 6 pairs, which have 12",
    "hostile_system.bin": "the pickle names posix.system, which no verification file needs, and is not read",
    "hostile_eval.bin": "the pickle names builtins.eval, ",
    "hostile_dotted.bin": "the pickle names numpy.core.numeric.sys.stdout.write, ",
    "hostile_memo.bin": "numbers a value 67,108,864, more than its 9 bytes can hold",
    "hostile_nested_key.bin": "has the opcode EMPTY_DICT, ",
    "hostile_shape.bin": "an array of 1,099,511,627,776 elements before any content",
    "cut_p4.bin": "byte 2752: ends before its pickle does (the file was cut short",
    "cut_py27_p2.bin": "byte 2297: ends before its pickle does",
    "cut_last_byte.bin": "byte 4587: ends before its pickle does",
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_file_to_be_refused_is_refused_in_one_line_that_names_what_was_found(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = BytesSource((BINS / name).read_bytes())
    message = message_of(decode_bin, source)

    assert WORDS[name] in message
    assert "\n" not in message
    assert ("", "") == capfd.readouterr()  # three of them would print something
    assert peak_bytes(lambda: message_of(decode_bin, source)) < 1 << 20


@pytest.mark.parametrize("case", BOMBS)
def test_a_pickle_that_would_take_time_or_memory_or_do_something_is_refused(case: str) -> None:
    data, word = BOMBS[case]
    message = message_of(decode_bin, BytesSource(data))

    assert word in message
    assert "\n" not in message
    assert len(message) < 400
    most = (1 << 20) + 40 * len(data)
    assert peak_bytes(lambda: message_of(decode_bin, BytesSource(data))) < most


def test_one_content_that_is_named_often_is_one_object() -> None:
    shared = b"face" * 100
    data = pickle.dumps(([shared] * 2000, [True] * 1000), 2)
    found = decode_bin(BytesSource(data))

    assert 1 == len(set(map(id, found.contents)))
    assert [shared] * 2000 == contents_of(found, BytesSource(data))


def test_no_image_is_read_while_the_file_is_opened() -> None:
    data = bin_bytes([bytes(1 << 20)] * 2 + [bytes([1]) * (1 << 20)] * 2, [True, False], 4)

    assert peak_bytes(lambda: decode_bin(BytesSource(data))) < 400_000


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("size", [1, 255, 256, 300, 65_535, 65_536, 200_000])
def test_images_of_any_size_are_read_by_every_protocol(protocol: int, size: int) -> None:
    rng = random.Random(size)
    faces = [rng.randbytes(size) for _ in range(4)]

    assert (faces, [True, False]) == decoded(bin_bytes(faces, [True, False], protocol))
    arrays = [np.frombuffer(face, np.uint8) for face in faces]
    assert (faces, [True, False]) == decoded(pickle.dumps((arrays, np.array([1, 0])), protocol))
    columns = [array.reshape(-1, 1) for array in arrays]
    assert (faces, [True, False]) == decoded(pickle.dumps([columns, [np.bool_(True), np.int32(0)]], protocol))
    assert (faces, [True, False]) == decoded(pickle.dumps(([*map(bytearray, faces)], (1, 0)), protocol))


@pytest.mark.parametrize("kind", ["i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "?"])
def test_truth_values_may_be_numbers_of_any_whole_type(kind: str) -> None:
    for protocol in range(6):
        assert SAME == decoded(pickle.dumps((FACES, np.array(SAME).astype(kind)), protocol))[1]
        numbers = [np.dtype(kind).type(flag) for flag in SAME]
        assert SAME == decoded(pickle.dumps((FACES, numbers), protocol))[1]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("size", [40, 300])
def test_images_may_be_in_a_tuple_and_bytearrays(protocol: int, size: int) -> None:
    faces = [bytes([number]) * size for number in range(1, 13)]
    for contents in (tuple(faces), [*map(bytearray, faces)], tuple(map(bytearray, faces))):
        data = pickle.dumps((contents, tuple(SAME)), protocol)
        found = decode_bin(BytesSource(data))

        assert (faces, SAME) == (contents_of(found, BytesSource(data)), found.same)
        assert protocol == found.protocol
        kind = "bytes" if size <= 255 else type(contents[0]).__name__  # of short ones it is not told
        assert {kind: 12} == found.images_as


def test_bytearrays_of_python_2_are_read() -> None:
    def bytearray_(content: bytes) -> bytes:  # as Python 2.7 writes it: the name of the encoding is a str
        text = b"X" + struct.pack("<I", 2 * len(content)) + content.decode("latin-1").encode()
        return b"c__builtin__\nbytearray\n(" + text + b"U\x07latin-1tR"

    faces = [bytes([200 + number]) * size for number, size in enumerate((10, 300))]
    data = b"\x80\2](" + b"".join(map(bytearray_, faces)) + b"e]\x88a\x86."

    assert (faces, [True]) == decoded(data)


def test_truth_values_that_do_not_fit_the_images_are_not_made_objects() -> None:
    data = pickle.dumps((FACES, np.zeros(1 << 20, np.uint8)), 4)

    assert "holds 12 images for 1,048,576 pairs" in message_of(decode_bin, BytesSource(data))
    assert peak_bytes(lambda: message_of(decode_bin, BytesSource(data))) < 1 << 20


FLAT = np.zeros(4, np.uint8)
OTHERS: dict[str, tuple[Any, str]] = {
    "a list": ([1], "its pickle holds 1 item (a number), not a pair of images and truth values"),
    "five items": ((1, "a", None, b"x", 2.5), "5 items (a number, a text, None, ...)"),
    "a text": ("some text", "its pickle holds a text, not"),
    "a long text": ("some text" * 100, "its pickle holds a text, not"),
    "bytes": (b"\0" * 1000, "its pickle holds 1,000 bytes, not"),
    "an array": (np.zeros((3, 2)), "its pickle holds a float64 array (3, 2), not"),
    "features": ((np.zeros((12, 512), np.float32), SAME), "its first item is a float32 array (12, 512), not a list"),
    "objects": ((np.array(FACES, object), SAME), "its first item is a 'O8' array (12,), not a list of images"),
    "strings of numpy": (([np.bytes_(b"face" * 100)] * 12, SAME), "image 0 is a 'S400' of numpy, not an encoded image"),
    "an image as text": ((["face", *FACES[1:]], SAME), "image 0 is a text, not an encoded image"),
    "pixels": (([*FACES[:-1], np.zeros((8, 8, 3), np.uint8)], SAME), "image 11 is a uint8 array (8, 8, 3), not an"),
    "a row": (([*FACES[:-1], np.zeros((1, 8), np.uint8)], SAME), "image 11 is a uint8 array (1, 8), not an encoded"),
    "signed": (([*FACES[:-1], np.zeros(8, np.int8)], SAME), "image 11 is an int8 array (8,), not an encoded image"),
    "paths": ((["a.jpg"] * 12, SAME), "image 0 is a text, not an encoded image"),
    "no list of truth": ((FACES, None), "its second item is None, not a list of truth values"),
    "fractions": ((FACES, [0.5] * 6), "of pair 0 it says a number, where 1 means the same person and 0 another"),
    "classes": ((FACES, [1, 0, 2, 1, 0, 0]), "of pair 2 it says 2, where 1 means the same person and 0 another"),
    "minus": ((FACES, [1, -1, 1, 1, -1, -1]), "of pair 1 it says -1, where"),
    "huge": ((FACES, [1 << 200] * 6), "of pair 0 it says a number, where"),
    "float truth": ((FACES, np.zeros(6)), "its second item is a float64 array (6,), not a list of truth values"),
    "float number": ((FACES, [np.float64(1)] * 6), "of pair 0 it says a float64 of numpy, where"),
    "big end": ((FACES, np.zeros(6, ">i4")), "its second item is an int32 array (6,), not a list of truth values"),
    "a table of truth": ((FACES, np.zeros((3, 2), bool)), "its second item is a bool array (3, 2), not a list"),
    "too many": ((FACES, SAME[:5]), "holds 12 images for 5 pairs, which have 10"),
    "an odd number": ((FACES[:11], SAME), "holds 11 images for 6 pairs, which have 12"),
    "nothing": (([], []), "holds no pairs"),
    "an empty image": (([*FACES[:7], b"", *FACES[8:]], SAME), "image 7 is empty: that of pair 3, the second of the"),
    "an empty array": (([FLAT[:0], *FACES[1:]], SAME), "image 0 is empty: that of pair 0, the first of the two"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_contents_are_refused_by_what_they_are(case: str) -> None:
    value, expected = OTHERS[case]
    for protocol in (0, 2, 4):
        message = message_of(decode_bin, BytesSource(pickle.dumps(value, protocol)))
        assert expected in message
        assert "\n" not in message


@pytest.mark.parametrize("name", [name for name in ACCEPTED if "102" not in name])
def test_a_file_that_ends_at_any_byte_is_refused(name: str) -> None:
    data = (BINS / name).read_bytes()
    for end in [*range(0, len(data), 97), *range(len(data) - 60, len(data))]:
        with pytest.raises(InputError):
            decode_bin(BytesSource(data[:end]))


def test_bytes_behind_the_pickle_are_counted() -> None:
    assert 7 == decode_bin(BytesSource(OURS.read_bytes() + b"behind.")).trailing


def test_a_pickle_is_not_copied_with_its_frames() -> None:
    faces = [bytes([number]) * 60_000 for number in range(40)]

    assert peak_bytes(lambda: decode_bin(BytesSource(bin_bytes(faces, [True] * 20)))) < 3_000_000 + 2_500_000


# Writing.


def encoded(contents: list[bytes], same: list[bool]) -> bytes:
    return b"".join(encode_bin(contents, same))


def test_what_is_written_is_the_golden_file() -> None:
    contents, same = decoded(OURS.read_bytes())

    assert OURS.read_bytes() == encoded(contents, same)


@pytest.mark.parametrize("pairs", [0, 1, 2, 499, 500, 501, 1000, 1001, 2001])
def test_what_is_written_is_what_python_writes_for_any_number_of_pairs(pairs: int) -> None:
    faces = [b"%08d" % number for number in range(2 * pairs)]
    same = [number % 3 == 0 for number in range(pairs)]

    skip_where_pickle_differs(pairs)
    assert bin_bytes(faces, same) == encoded(faces, same)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_written_is_what_python_writes_for_images_of_any_sizes(seed: int) -> None:
    rng = random.Random(seed)
    near = [2, 3, 255, 256, 257, 21_000, 32_700, 65_520, 65_534, 65_535, 65_536, 65_537, 100_000]
    faces = [rng.randbytes(max(2, rng.choice(near) + rng.randrange(-9, 9))) for _ in range(2 * rng.randrange(1, 12))]
    same = [rng.random() < 0.5 for _ in range(len(faces) // 2)]

    assert bin_bytes(faces, same) == encoded(faces, same)


def test_a_frame_is_closed_in_the_middle_of_the_truth_values_too() -> None:
    for size in range(65_500, 65_536, 7):
        faces = [bytes([number]) * (size // 2) for number in range(2)]
        many = [bytes([1]) * (size - 20_000), *(b"%05d" % number for number in range(3999))]
        assert bin_bytes(faces, [True]) == encoded(faces, [True])
        assert bin_bytes(many, [True, False] * 1000) == encoded(many, [True, False] * 1000)


def test_contents_and_truth_values_must_fit_together() -> None:
    with pytest.raises(ParameterError, match="3 contents for 2 pairs: there must be two for each"):
        list(encode_bin([b"a", b"b", b"c"], [True, False]))


def test_images_are_taken_one_at_a_time_and_not_kept() -> None:
    class Faces(list[bytes]):
        def __getitem__(self, number: Any) -> Any:
            return bytes([number % 256]) * 50_000

        def __iter__(self) -> Any:
            return (self[number] for number in range(len(self)))

    faces = Faces([b""] * 400)

    def written() -> None:
        for _ in encode_bin(faces, [True] * 200):
            pass

    assert peak_bytes(written) < 1_000_000


def test_published_readers_load_what_is_written() -> None:
    assert (FACES, SAME) == pickle.loads(encoded(FACES, SAME))
