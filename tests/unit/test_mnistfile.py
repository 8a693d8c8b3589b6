"""IDX files of MNIST: images and labels, gzip, and that damage of any kind is one error and takes no memory."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from dataset_helpers import gzipped, idx_images, idx_labels
from helpers import message_of, peak_bytes

from im2rec.errors import IdxFormatError, InputError
from im2rec.format.mnistfile import decompress, read_images, read_labels

PIXELS = np.random.default_rng(1).integers(0, 256, (5, 3, 4), np.uint8)
DIGITS = np.array([5, 0, 4, 1, 255], np.uint8)
IMAGES, LABELS = idx_images(PIXELS), idx_labels(DIGITS)
AGAIN = " (make or fetch the file again)"
READERS = {"images": (read_images, IMAGES), "labels": (read_labels, LABELS)}


def test_images_and_labels_are_read_as_uint8_arrays() -> None:
    images, labels = read_images(IMAGES), read_labels(LABELS)

    assert np.uint8 == images.dtype
    assert PIXELS.tolist() == images.tolist()
    assert np.uint8 == labels.dtype
    assert DIGITS.tolist() == labels.tolist()


def test_the_arrays_are_read_only_views_of_the_file() -> None:
    assert np.shares_memory(read_images(IMAGES), np.frombuffer(IMAGES, np.uint8))
    assert not read_images(IMAGES).flags.writeable
    assert not read_labels(LABELS).flags.writeable


def test_a_file_may_hold_no_images() -> None:
    assert (0, 28, 28) == read_images(struct.pack(">4I", 2051, 0, 28, 28)).shape
    assert (0, 65535, 65535) == read_images(struct.pack(">4I", 2051, 0, 65535, 65535)).shape
    assert (0,) == read_labels(struct.pack(">2I", 2049, 0)).shape


def test_an_image_may_have_65535_columns() -> None:
    assert (1, 1, 65535) == read_images(struct.pack(">4I", 2051, 1, 1, 65535) + bytes(65535)).shape


EDGES = "expected rows and columns of 1 to 65535, found "
WRONG_IMAGES = {
    b"": "expected 16 bytes of header, found 0" + AGAIN,
    IMAGES[:15]: "expected 16 bytes of header, found 15" + AGAIN,
    b"\x89PNG\r\n\x1a\n" * 2: "expected the magic 2051 of images, found 89 50 4e 47 (name an IDX file of MNIST)",
    b"\3\x08\0\0" + IMAGES[4:]: "expected the magic 2051 of images, found 03 08 00 00 (name an IDX file of MNIST)",
    idx_labels(np.zeros(9)): "expected the magic 2051 of images, found the magic of labels "
    "(the files of images and labels are swapped)",
    IMAGES[:-1]: "expected 5 x 3 x 4 bytes of images after the header, found 59" + AGAIN,
    IMAGES + b"1": "expected 5 x 3 x 4 bytes of images after the header, found 61" + AGAIN,
    struct.pack(">4I", 2051, 5, 0, 4): EDGES + "0 x 4" + AGAIN,
    struct.pack(">4I", 2051, 0, 28, 0): EDGES + "28 x 0" + AGAIN,
    struct.pack(">4I", 2051, 0, 65536, 1): EDGES + "65536 x 1" + AGAIN,
    struct.pack(">4I", 2051, *[2**32 - 1] * 3): EDGES + "4294967295 x 4294967295" + AGAIN,
}
WRONG_LABELS = {
    b"": "expected 8 bytes of header, found 0" + AGAIN,
    LABELS[:7]: "expected 8 bytes of header, found 7" + AGAIN,
    IMAGES: "expected the magic 2049 of labels, found the magic of images (the files of images and labels are swapped)",
    LABELS[:-1]: "expected 5 bytes of labels after the header, found 4" + AGAIN,
    LABELS + b"12": "expected 5 bytes of labels after the header, found 7" + AGAIN,
    struct.pack(">2I", 2049, 2**32 - 1): "expected 4294967295 bytes of labels after the header, found 0" + AGAIN,
}


def test_a_wrong_file_is_refused_with_the_reason() -> None:
    assert WRONG_IMAGES == {data: message_of(read_images, data) for data in WRONG_IMAGES}
    assert WRONG_LABELS == {data: message_of(read_labels, data) for data in WRONG_LABELS}


@pytest.mark.parametrize("kind", READERS)
def test_a_file_cut_at_any_byte_is_an_idx_format_error(kind: str) -> None:
    read, whole = READERS[kind]
    for cut in range(len(whole)):
        with pytest.raises(IdxFormatError, match=r"^expected .*, found \d+ \("):
            read(whole[:cut])


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_header_is_read_or_is_an_idx_format_error(kind: str) -> None:
    read, whole = READERS[kind]
    rng = random.Random(1)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(2000):
        data = bytearray(whole)
        at, length = rng.randrange(24), rng.choice([1, 2, 4])
        data[at : at + length] = rng.choice([rng.randbytes(length), b"\xff" * length, b"\0" * length])
        try:
            read(bytes(data))
            outcomes["read"] += 1
        except IdxFormatError:
            outcomes["refused"] += 1

    assert min(outcomes.values()) > 100, outcomes


def test_the_shape_in_a_header_is_checked_before_memory_is_allocated() -> None:
    def refuse() -> None:
        for shape in ((2**32 - 1, 65535, 65535), (1, 65535, 65535)):
            with pytest.raises(IdxFormatError, match=r"^expected "):
                read_images(struct.pack(">4I", 2051, *shape) + bytes(100))

    refuse()  # pytest itself allocates on the first call
    assert peak_bytes(refuse) < 200_000


def test_the_error_is_an_input_error_that_names_its_path() -> None:
    error = IdxFormatError("expected more", hint="look")
    assert "expected more (look)" == str(error)
    error.path = "train-images"
    assert "train-images: expected more (look)" == str(error)
    assert isinstance(error, InputError)


# Compressed.


@pytest.mark.parametrize("data", [IMAGES, LABELS, struct.pack(">2I", 2049, 0)], ids=["images", "labels", "empty"])
def test_a_gzip_file_is_decompressed_and_any_other_returned_unchanged(data: bytes) -> None:
    assert data is decompress(data)
    assert data == decompress(gzipped(data))


def test_a_gzip_file_may_have_several_members_and_zero_padding() -> None:
    assert IMAGES == decompress(gzipped(IMAGES[:9]) + gzipped(b"") + gzipped(IMAGES[9:]) + bytes(512))


CLAIMS = gzipped(struct.pack(">4I", 2051, 2**32 - 1, 28, 28))
NO_IDX = {
    gzipped(b""): "expected the magic 2051 or 2049 in the gzip file, found 0",
    gzipped(gzipped(IMAGES)): "expected the magic 2051 or 2049 in the gzip file, found 529205248",
    gzipped(IMAGES[:9]): "expected 16 bytes of header, found 9" + AGAIN,
    gzipped(IMAGES + b"1"): "expected 76 bytes in the gzip file, found more" + AGAIN,
    gzipped(IMAGES) + b"tail": "the gzip file is damaged: Not a gzipped file (b'ta')" + AGAIN,
    b"\x1f\x8b": "the gzip file is cut short" + AGAIN,
    b"\x1f\x8bnonsense": "the gzip file is damaged: Unknown compression method" + AGAIN,
    CLAIMS: f"expected {(2**32 - 1) * 28 * 28 + 16} bytes as its header says, too many for {len(CLAIMS)} bytes of "
    "gzip (make or fetch the file again, or unpack it with gunzip)",
}


def test_a_wrong_gzip_file_is_refused_with_the_reason() -> None:
    assert NO_IDX == {data: message_of(decompress, data) for data in NO_IDX}


def test_a_gzip_file_with_too_few_bytes_is_refused_when_it_is_read() -> None:
    short = decompress(gzipped(IMAGES[:-3]))

    assert "expected 5 x 3 x 4 bytes of images after the header, found 57" + AGAIN == message_of(read_images, short)


def test_a_gzip_file_cut_at_any_byte_is_an_idx_format_error() -> None:
    whole = gzipped(IMAGES)
    for cut in range(2, len(whole)):
        assert "the gzip file is cut short" + AGAIN == message_of(decompress, whole[:cut])


def test_a_changed_byte_of_a_gzip_file_is_detected_or_changes_no_pixel() -> None:
    whole = gzipped(IMAGES)
    detected = 0
    for at in range(10, len(whole)):  # the first 10 bytes hold a time and a system that nothing depends on
        changed = bytearray(whole)
        changed[at] ^= 0x40
        try:
            assert PIXELS.tolist() == read_images(bytes(changed)).tolist()
        except IdxFormatError:
            detected += 1

    assert detected > 0.9 * (len(whole) - 10)


def test_the_largest_inflated_size_is_a_gibibyte() -> None:
    # Deflate packs at most 1032 bytes into one: a shorter file would be refused before this limit is reached.
    content = gzipped(random.Random(1).randbytes(1_050_000))
    largest, larger = (gzipped(struct.pack(">2I", 2049, 2**30 - 8 + more)) + content for more in (0, 1))

    expected = "expected 1073741816 bytes of labels after the header, found 1050000"
    assert expected + AGAIN == message_of(read_labels, largest)
    assert message_of(read_labels, larger).startswith("expected 1073741825 bytes as its header says")


def test_a_file_that_deflate_packs_as_tightly_as_it_can_is_read() -> None:
    labels = idx_labels(np.zeros(1_000_000))

    assert 1_000_000 == len(read_labels(gzipped(labels)))


def test_a_gzip_bomb_takes_no_memory() -> None:
    bombs = [
        gzipped(IMAGES + bytes(30_000_000)),
        gzipped(struct.pack(">4I", 2051, 1, 65535, 65535) + bytes(30_000_000)),
        gzipped(bytes(30_000_000)),
    ]

    def refuse() -> None:
        for bomb in bombs:
            with pytest.raises(IdxFormatError):
                decompress(bomb)

    refuse()
    assert peak_bytes(refuse) < 1_500_000
