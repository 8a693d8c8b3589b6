"""MXNet's array files: their bytes, the layouts of all versions, and that damage of any kind is one error."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of, peak_bytes

from im2rec.errors import InputError
from im2rec.format.ndarrayfile import NamedArray, decode_arrays, decode_single, encode_arrays

DATA = Path(__file__).parents[1] / "golden" / "iterators" / "data"
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
DEVICE_AND_TYPE = struct.pack("<iii", 1, 0, 0)
V2 = struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, 2, 3) + DEVICE_AND_TYPE + ARRAY.tobytes()
AGAIN = " (make or fetch the file again)"


def names(*each: bytes) -> bytes:
    return struct.pack("<Q", len(each)) + b"".join(struct.pack("<Q", len(name)) + name for name in each)


def file_of(*arrays: bytes, after: bytes = names(b"x")) -> bytes:
    return struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays) + after


FILE = file_of(V2)


@pytest.mark.parametrize("name", ["art5_mean.bin", "art5_mean_scaled.bin"])
def test_a_mean_image_written_by_mxnet_is_read_and_written_byte_for_byte(name: str) -> None:
    data = (DATA / name).read_bytes()
    mean = decode_single(data)

    assert "mean_img" == mean.name
    assert (3, 24, 32) == mean.array.shape
    assert np.float32 == mean.array.dtype
    assert np.array_equal(np.frombuffer(data[-16 - 4 * 3 * 24 * 32 - 8 : -24], "<f4"), mean.array.ravel())
    assert data == encode_arrays([mean])


# Each was read by MXNet 1.9.1 as the array above (V3 with np_shape on).
LAYOUTS = {
    "V2": V2,
    "V2 from a GPU": V2.replace(DEVICE_AND_TYPE, struct.pack("<iii", 2, 3, 0)),
    "V3": V2.replace(b"\xc9\xfa", b"\xca\xfa"),
    "V1": struct.pack("<IIqq", 0xF993FAC8, 2, 2, 3) + DEVICE_AND_TYPE + ARRAY.tobytes(),
    "before V1": struct.pack("<III", 2, 2, 3) + DEVICE_AND_TYPE + ARRAY.tobytes(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("after", "name"), [(names(b"x"), "x"), (names(b""), ""), (names(), None)])
def test_every_layout_is_read_with_and_without_a_name(layout: str, after: bytes, name: str | None) -> None:
    read = decode_single(file_of(LAYOUTS[layout], after=after))

    assert name == read.name
    assert ARRAY.tolist() == read.array.tolist()
    assert read.array.flags.writeable


def test_a_scalar_of_v3_has_no_dimensions() -> None:
    scalar = struct.pack("<Iii", 0xF993FACA, 0, 0) + DEVICE_AND_TYPE + struct.pack("<f", 2.5)

    assert ((), 2.5) == ((array := decode_single(file_of(scalar)).array).shape, float(array))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64"])
def test_every_element_type_is_written_and_read(dtype: str) -> None:
    arrays = [NamedArray("one", np.array([[0, 1, 127]], dtype)), NamedArray("\xfc", np.ones((1, 2, 1), dtype))]
    read = decode_arrays(encode_arrays(arrays))

    assert ["one", "\xfc"] == [name for name, _ in read]
    for (_, expected), (_, array) in zip(arrays, read, strict=True):
        assert expected.dtype == array.dtype
        assert expected.tolist() == array.tolist()


def test_byte_order_and_layout_in_memory_do_not_matter() -> None:
    expected = encode_arrays([NamedArray(None, ARRAY)])

    assert file_of(V2, after=names()) == expected
    for other in (ARRAY.astype(">f4"), np.asfortranarray(ARRAY), np.repeat(ARRAY, 2, axis=1)[:, ::2]):
        assert expected == encode_arrays([NamedArray(None, other)])


def test_a_file_may_hold_no_array() -> None:
    assert [] == decode_arrays(encode_arrays([]))


def test_decode_single_refuses_a_file_with_another_number_of_arrays() -> None:
    hint = " (keep one: mx.nd.save(path, [array]))"
    two = file_of(V2, V2, after=names(b"a", b"b"))

    assert "expected one array, found 2" + hint == message_of(decode_single, two)
    assert "expected one array, found 0" + hint == message_of(decode_single, encode_arrays([]))
    assert ["a", "b"] == [name for name, _ in decode_arrays(two)]


TYPES = "0 (float32), 1 (float64), 2 (float16), 3 (uint8), 4 (int32), 5 (int8), 6 (int64)"
DENSE = " (save the dense array: array.tostype('default'))"
WRONG = {
    b"": "byte 0: expected the number of an array file of 8 bytes, found 0" + AGAIN,
    b"\x89PNG\r\n\x1a\n" * 9: "byte 0: expected the number 0x112 of an array file, found 0xa1a0a0d474e5089" + AGAIN,
    FILE + b"1234": "byte 105: expected the end, found 4 bytes more" + AGAIN,
    FILE[:60]: "byte 60: expected an element type of 4 bytes, found 0" + AGAIN,
    FILE[:70]: "byte 64: expected an array 2x3 of float32 of 24 bytes, found 6" + AGAIN,
    FILE[:100]: "byte 88: expected 1 names, but only 4 bytes follow" + AGAIN,
    file_of(V2, after=names(b"x", b"y")): "byte 88: expected as many names as arrays, 1, or none, found 2" + AGAIN,
    file_of(V2, after=names(b"\xff")): "byte 104: expected a name in UTF-8, found b'\\xff'" + AGAIN,
    file_of(V2.replace(b"\xfa\x93\xf9\0", b"\xfa\x93\xf9\1")): "byte 28: expected the storage type 0, found 1" + DENSE,
    file_of(V2[:36] + b"\x07" + V2[37:]): f"byte 60: expected one of the element types {TYPES}, found 7" + AGAIN,
    file_of(struct.pack("<Iii", 0xF993FAC9, 0, 0)): "byte 32: expected 1 to 32 dimensions, found 0" + AGAIN,
    file_of(struct.pack("<Iii", 0xF993FACA, 0, -1)): "byte 32: expected 1 to 32 dimensions, found -1" + AGAIN,
    file_of(struct.pack("<I", 33)): "byte 24: expected 1 to 32 dimensions, found 33" + AGAIN,
    file_of(V2[:12] + struct.pack("<qq", 0, 3)): "byte 36: expected sizes of 1 or more, found 0x3" + AGAIN,
    file_of(V2[:12] + struct.pack("<qq", -1, 3)): "byte 36: expected sizes of 1 or more, found -1x3" + AGAIN,
}


def test_a_wrong_file_is_refused_with_the_offset_of_the_error() -> None:
    assert WRONG == {data: message_of(decode_arrays, data) for data in WRONG}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_cut_at_any_byte_is_an_input_error(layout: str) -> None:
    whole = file_of(LAYOUTS[layout])
    for cut in range(len(whole)):
        with pytest.raises(InputError, match=r"^byte \d+: expected .*, (found \d+|but only \d+ bytes follow) \("):
            decode_arrays(whole[:cut])


def test_a_damaged_file_is_read_or_is_an_input_error() -> None:
    rng = random.Random(1)
    files = [file_of(array, array, after=names(b"first", b"second")) for array in LAYOUTS.values()]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(5000):
        data = bytearray(rng.choice(files))
        for _ in range(rng.randint(1, 4)):
            at, length = rng.randrange(len(data)), rng.choice([1, 1, 4, 8])
            data[at : at + length] = rng.choice([rng.randbytes(length), b"\xff" * length, b"\0" * length])
        try:
            decode_arrays(bytes(data))
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1

    assert min(outcomes.values()) > 500, outcomes


HUGE: dict[str, Any] = {
    "arrays": struct.pack("<QQQ", 0x112, 0, 2**63),
    "names": file_of(V2, after=struct.pack("<Q", 2**61)),
    "a name": file_of(V2, after=struct.pack("<QQ", 1, 2**64 - 1)),
    "elements": file_of(V2[:12] + struct.pack("<qq", 2**62, 2**62) + V2[28:]),
    "dimensions": file_of(struct.pack("<I", 2**31)),
}


@pytest.mark.parametrize("what", HUGE)
def test_a_length_is_checked_before_memory_is_allocated(what: str) -> None:
    def refuse() -> None:
        with pytest.raises(InputError, match=r"^byte \d+: expected "):
            decode_arrays(HUGE[what])

    refuse()  # pytest itself allocates on the first call
    assert peak_bytes(refuse) < 200_000


def test_an_array_that_cannot_be_read_back_is_refused() -> None:
    hint = " (it can hold float32, float64, float16, uint8, int32, int8, int64, of 1 to 32 dimensions, not empty)"
    for shown, array in {
        "bool and shape (1,)": np.array([True]),
        "float32 and shape ()": np.array(1, np.float32),
        "float32 and shape (0, 3)": np.empty((0, 3), np.float32),
    }.items():
        expected = f"an array file cannot hold an array of {shown}{hint}"
        assert expected == message_of(encode_arrays, [NamedArray(None, array)])


def test_names_must_be_given_to_all_arrays_or_to_none() -> None:
    some = [NamedArray("x", ARRAY), NamedArray(None, ARRAY)]
    assert "1 of 2 arrays have a name: give one to all, or to none" == message_of(encode_arrays, some)


def test_an_array_of_32_dimensions_is_written_and_read() -> None:
    shape = (1,) * 31 + (2,)

    assert shape == decode_single(encode_arrays([NamedArray(None, np.zeros(shape, np.int32))])).array.shape


def test_as_many_arrays_and_names_as_fit_in_the_bytes_are_accepted() -> None:
    # An array takes 4 bytes or more and a name 8: here the first array is wrong, not the number of arrays.
    assert "byte 28: expected a storage type of 4 bytes, found 0" + AGAIN == message_of(
        decode_arrays, file_of(V2[:4], after=b"")
    )
    assert "" == decode_single(file_of(V2, after=names(b""))).name
    assert "byte 16: expected 2 arrays, but only 7 bytes follow" + AGAIN == message_of(
        decode_arrays, struct.pack("<QQQ", 0x112, 0, 2) + bytes(7)
    )
    assert "byte 88: expected 2 names, but only 15 bytes follow" + AGAIN == message_of(
        decode_arrays, file_of(V2, after=struct.pack("<Q", 2) + bytes(15))
    )
