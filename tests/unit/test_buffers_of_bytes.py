"""Buffers in place of bytes: flat ones of bytes are taken wherever bytes are, everything else is refused."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_helpers import encoded, texture

import im2rec
from im2rec.errors import as_bytes

JPEG = encoded(texture())
HEADER = im2rec.IRHeader(0, 3.0, 7)
PAYLOAD = im2rec.encode_image_record(HEADER, JPEG)
FRAME = im2rec.encode_record(PAYLOAD)

BUFFERS: dict[str, Callable[[bytes], Any]] = {
    "bytearray": bytearray,
    "memoryview": memoryview,
    "array": lambda data: np.frombuffer(data, np.uint8),
    "C array": lambda data: (ctypes.c_ubyte * len(data)).from_buffer_copy(data),
    "every other byte": lambda data: np.frombuffer(data, np.uint8).repeat(2)[::2],
}
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], bytes]] = {
    "decode": (lambda data: im2rec.decode(data).pixels.tobytes(), JPEG),
    "decode_image_record": (im2rec.decode_image_record, PAYLOAD),
    "encode_image_record": (lambda data: im2rec.encode_image_record(HEADER, data), JPEG),
    "decode_record": (im2rec.decode_record, FRAME),
    "encode_record": (im2rec.encode_record, PAYLOAD),
}


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_buffer_gives_what_its_bytes_give(name: str, buffer: str) -> None:
    function, data = FUNCTIONS[name]
    assert function(data) == function(BUFFERS[buffer](data))


WRONG: dict[str, tuple[Any, str]] = {
    "text": ("text", "must be bytes, not str"),
    "None": (None, "must be bytes, not NoneType"),
    "a list": ([1, 2], "must be bytes, not list"),
    "pixels": (texture(4, 5), "must be bytes, not an array of shape (4, 5, 3) and format 'B' (encode pixels first)"),
    "floats": (np.zeros(3, np.float32), "must be bytes, not an array of shape (3,) and format 'f'"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_anything_else_is_an_error_that_names_bytes(name: str, wrong: str) -> None:
    value, expected = WRONG[wrong]
    with pytest.raises(im2rec.ParameterError) as caught:
        FUNCTIONS[name][0](value)
    assert expected in str(caught.value)


def test_a_writer_takes_buffers_and_refuses_the_rest_before_it_writes(tmp_path: Path) -> None:
    with im2rec.RecordWriter(tmp_path / "a.rec") as writer:
        for key, buffer in enumerate(BUFFERS.values()):
            writer.write(buffer(PAYLOAD), key=key)
            writer.write_frame(buffer(FRAME), key=10 + key)
        for write in (writer.write, writer.write_frame):
            with pytest.raises(im2rec.ParameterError, match="must be bytes, not str"):
                write("text", key=0)  # type: ignore[arg-type]
    with im2rec.open(tmp_path / "a.rec") as rec:
        assert [PAYLOAD] * (2 * len(BUFFERS)) == [rec.payload(n) for n in range(len(rec))]


def test_a_mapped_file_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    with (tmp_path / "a.jpg").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert np.array_equal(im2rec.decode(JPEG).pixels, im2rec.decode(mapped).pixels)  # type: ignore[arg-type]


def test_bytes_are_not_copied() -> None:
    assert as_bytes(JPEG, "an image") is JPEG
