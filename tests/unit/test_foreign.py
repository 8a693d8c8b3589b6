"""Files of other formats given as a ``.rec``, files that went through text mode, and payloads without image headers."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import json
import lzma
import os
import pickle
import random
import shutil
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import image_payload, joined, message_of, write_rec

from im2rec.errors import InputError
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import BytesSource, encode_record
from im2rec.inspection.survey import survey
from im2rec.selection.headers import ScannedFile
from im2rec.storage.files import InputFile
from im2rec.storage.foreign import check_kind, headerless_kind, kind_without_header, known_format
from im2rec.storage.reader import RecordFile

RECORDS = [image_payload(n, content=b"\xff\xd8\xff\xe0 an image\n %d" % n) for n in range(9)]
REC = joined(RECORDS)


def zipped() -> bytes:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:  # stored: the records are there as they are
            archive.writestr("train.rec", REC)
        return stream.getvalue()


def tarred() -> bytes:
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            member = tarfile.TarInfo("train.rec")
            member.size = len(REC)
            archive.addfile(member, io.BytesIO(REC))
        return stream.getvalue()


TEXT_MODE = "a .rec that went through text mode, in which"
FILES: dict[str, tuple[bytes, str]] = {
    "git-LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a git-LFS pointer"),
    "HTML": (b"\xef\xbb\xbf\n<!DOCTYPE HTML><html>", "an HTML page"),
    "HTML without doctype": (b"<html><head>", "an HTML page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
    "gzip": (gzip.compress(REC), "a gzip file"),
    "bzip2": (bz2.compress(REC), "a bzip2 file"),
    "xz": (lzma.compress(REC), "an xz file"),
    "Zstandard": (b"\x28\xb5\x2f\xfd" + bytes(50), "a Zstandard file"),
    "zip": (zipped(), "a zip archive"),
    "tar": (tarred(), "a tar archive"),
    "pickle 2": (pickle.dumps(([b"a"], [True]), 2), "a Python pickle"),
    "pickle 5": (pickle.dumps(([b"a"], [True]), 5), "a Python pickle"),
    "NumPy": (b"\x93NUMPY\1\0" + bytes(50), "a NumPy array"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
    "LMDB": (bytes(16) + b"\xde\xc0\xef\xbe" + bytes(50), "an LMDB database"),
    # The checksum is that of TensorFlow for a length of 0.
    "TFRecord": (bytes(8) + b"\x29\x03\x98\x07" + b"\xd8\xea\x82\xa2", "a TFRecord file of TensorFlow"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(50), "an image (JPEG)"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image (PNG)"),
    "index": (b"0\t0\n1\t1248\n", "an index (.idx)"),
    "list": (b"12\t0.5\t1\tcats/a b.jpg\n", "a list (.lst)"),
    "JSON": (json.dumps({"images": []}).encode(), "a file of JSON"),
    "text": ("Grüße".encode(), "a file of text"),
    "UTF-16": ("text".encode("utf-16"), "a file of text (UTF-16)"),
    "zeros": (bytes(100_000), "a file of zeros"),
    "LF to CRLF": (REC.replace(b"\n", b"\r\n"), f"{TEXT_MODE} every line end 0A became 0D 0A"),
    "LF to CR": (REC.replace(b"\n", b"\r"), f"{TEXT_MODE} every line end 0A was replaced"),
    "CRLF twice": (REC.replace(b"\n", b"\r\r\n"), f"{TEXT_MODE} every line end 0A was replaced"),
    "read as UTF-8": (REC.decode(errors="replace").encode(), f"{TEXT_MODE} its bytes were converted as letters"),
    "read as Latin-1": (REC.decode("latin-1").encode(), f"{TEXT_MODE} its bytes were converted as letters"),
    "read as ASCII": (REC.decode("ascii", "replace").encode(errors="replace"), TEXT_MODE),
    "seven bits": (bytes(byte & 0x7F for byte in REC), f"{TEXT_MODE} its bytes were converted as letters"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_of_another_format_is_named_with_what_to_do(case: str, tmp_path: Path) -> None:
    content, kind = FILES[case]
    path = tmp_path / "some.rec"
    path.write_bytes(content)

    messages = {message_of(open_, path) for open_ in (RecordFile, ScannedFile, survey)}
    assert 1 == len(messages)
    message = messages.pop()
    assert message.startswith(f"{path}: is not a RecordIO file: it is {kind}")
    assert message.endswith(")")
    assert "name a .rec" not in message.replace("name the .rec", "")
    with pytest.raises(InputError):
        RecordFile(path)


@pytest.mark.parametrize("case", ["gzip", "bzip2", "xz"])
def test_the_command_that_unpacks_a_file_needs_no_suffix(case: str, tmp_path: Path) -> None:
    path, new = tmp_path / "old.rec", tmp_path / "new.rec"
    path.write_bytes(FILES[case][0])
    command = message_of(survey, path).split("'")[1]
    if shutil.which(command.split()[0]) is None:
        pytest.skip("is not installed")
    subprocess.run(command.replace("OLD", path.name).replace("NEW", new.name), shell=True, cwd=tmp_path, check=True)
    assert REC == new.read_bytes()


def test_records_after_a_damaged_start_are_found_whatever_the_start_looks_like(tmp_path: Path) -> None:
    path = tmp_path / "some.rec"
    for start in (bytes(100_000), b"text " * 20_000, b"\xff\xd8\xff\xe0" * 25_000):
        path.write_bytes(start + REC)
        assert 9 == survey(path).records


@pytest.mark.skipif(os.name == "nt", reason="makes a sparse file of 30 GB")
def test_a_large_file_of_zeros_is_named_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "some.rec"
    path.touch()
    os.truncate(path, 30 << 30)
    assert "it is a file of zeros (its download or copy is not complete: fetch it again)" in message_of(survey, path)


def images_of(content: bytes) -> bytes:
    random_ = random.Random(1)
    return joined([image_payload(n, content=content + random_.randbytes(30_000 + n)) for n in range(40)])


@pytest.mark.parametrize("content", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"], ids=["JPEG", "PNG"])
def test_a_file_that_lost_the_0d_of_every_line_end_went_through_text_mode(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.rec"
    path.write_bytes(images_of(content).replace(b"\r\n", b"\n"))
    path.with_suffix(".idx").write_bytes(b"".join(b"%d\t%d\n" % (n, n * 30_040) for n in range(39)))

    problem = f"{path}: is {TEXT_MODE} every line end 0D 0A became 0A (fetch it again in binary mode)"
    assert problem == message_of(survey, path)
    assert problem == message_of(RecordFile, path, index=False)
    assert problem == message_of(RecordFile, path)  # not the index is wrong


def test_a_file_that_lost_a_byte_elsewhere_is_damaged(tmp_path: Path) -> None:
    path, data = tmp_path / "some.rec", images_of(b"\xff\xd8\xff")
    path.write_bytes(data[:50_000] + data[50_001:])

    for index in (None, False):
        with RecordFile(path, index=index) as rec:
            assert ([1], 40) == (rec.lost.tolist(), len(rec))
            assert [0, *range(2, 40)] == [rec[n].header.id for n in range(40) if n != 1]
    assert 1 == len(survey(path).damage)


def check(path: Path) -> None:
    with InputFile(path) as file:
        check_kind(file)


def test_a_file_with_a_magic_in_its_first_64_kib_or_a_record_anywhere_is_recordio(tmp_path: Path) -> None:
    path, one = tmp_path / "some.rec", encode_record(b"one")
    for data in (one, one[:5], MAGIC, b"x" * 65_532 + MAGIC, b"x" * 100_000 + one, b"x" * 100_001 + one):
        path.write_bytes(data)
        check(path)


def test_other_files_are_refused_with_their_first_four_bytes(tmp_path: Path) -> None:
    path = tmp_path / "some.rec"
    for data, start in ((b"\x01\x02\x03\x04\x05", "01 02 03 04"), (b"\x01", "01"), (b"\x01" * 70_000, "01 01 01 01")):
        path.write_bytes(data)
        problem = f"it is a file of an unknown kind, which starts with {start} (make or fetch it again)"
        assert f"{path}: is not a RecordIO file: {problem}" == message_of(check, path)
    path.write_bytes(b"")
    assert f"{path}: is empty: it holds no records (make or fetch it again)" == message_of(check, path)


# Payloads without image headers


def protobuf(content: bytes) -> bytes:
    """Return a message with a number and a field of *content*, as a tf.train.Example has them."""
    return b"\x08\x96\x01\x12" + bytes([0x80 | len(content) & 0x7F, len(content) >> 7]) + content


PAYLOADS = {
    "JPEG": b"\xff\xd8\xff\xe0" + bytes(range(200)),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(range(200)),
    "JSON": b'{"label": 3, "path": "a.jpg", "box": [1, 2, 3]}',
    "text": "some text, longer than an image header: Grüße".encode(),
    "Python pickle": pickle.dumps({"label": 3, "content": bytes(100)}),
    "NumPy array": b"\x93NUMPY\1\0" + bytes(range(100)),
    "protobuf": protobuf(bytes(range(256)) * 8),
    "fewer than 24 bytes": b"\xee\xfe\xff",
    "binary data": bytes(range(254, 100, -1)),
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_records_without_image_headers_are_named_and_their_payloads_are_read(kind: str, tmp_path: Path) -> None:
    payloads = [PAYLOADS[kind]] * 3
    path = write_rec(tmp_path / "some.rec", payloads)

    problem = f"its records have no image headers: their payloads are {kind}"
    expected = f"{path}: {problem} (read them with payload() of im2rec.open())"
    assert expected == message_of(ScannedFile, path)
    with RecordFile(path) as rec:
        assert expected == message_of(rec.check_headers)
        assert payloads == [rec.payload(ordinal) for ordinal in range(3)]
        problem = f"{path}, record 0, byte 8: has no image header: its payload is {kind} (read it with payload())"
        assert [problem] * 2 == [message_of(lambda: rec[0]), message_of(rec.read_many, [0, 1])]
    found = survey(path)
    assert (kind, 3, 0, [], [], {}) == (
        found.headerless,
        found.records,
        found.images,
        found.problems,
        found.damage,
        found.label_widths,
    )
    assert {kind: 3} == found.contents


HEADERS = {
    "no content": IRHeader(0, 0.0, 0),
    "InsightFace": IRHeader(2, [5_822_654.0, 5_908_396.0], 0),
    "a label that is text": IRHeader(0, struct.unpack("<f", b'"abc')[0], 0x2020202020202020, 0x2020202020202020),
    "labels that are text": IRHeader(0, np.frombuffer(b'{"label": 1}', "<f4"), 2**64 - 1, 2**64 - 1),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_payload_with_an_image_header_is_never_taken_for_another(case: str) -> None:
    for content in (b"", b"\xff\xd8\xff", b"text"):
        payload = encode_image_record(HEADERS[case], content)
        assert kind_without_header(payload, len(payload)) is None


def test_one_header_among_the_first_records_is_enough() -> None:
    with_header, without = image_payload(1, content=bytes(200)), PAYLOADS["JPEG"]
    for place, expected in ((0, None), (15, None), (16, "JPEG")):
        payloads = [without] * 17
        payloads[place] = with_header
        offsets = itertools.accumulate([0, *(len(joined([payload])) for payload in payloads[:-1])])
        assert expected == headerless_kind(BytesSource(joined(payloads)), offsets)


def test_a_damaged_flag_is_no_missing_header() -> None:
    payload = bytearray(image_payload(1, content=PAYLOADS["JPEG"]))
    for flag in (b"\x40\x00\x00\x00", b"\x00\x00\x40\x00", b"\xff\xff\xff\xff"):
        payload[:4] = flag
        assert kind_without_header(bytes(payload), len(payload)) is None


def test_damaged_records_do_not_count() -> None:
    data = bytearray(joined([image_payload(1)] * 2 + [PAYLOADS["JSON"]]))
    frame = len(joined([image_payload(1)]))
    data[:4] = data[frame : frame + 4] = b"gone"
    assert "JSON" == headerless_kind(BytesSource(bytes(data)), [0, frame, 2 * frame])
    assert headerless_kind(BytesSource(bytes(data)), [0, frame]) is None


@pytest.mark.parametrize(
    "start", [b"1\t1\t" + b"-" * 10**6 + b"\t", b"1\t" + b"1\t" * 10**5, b"\t" * 10**6, b"9" * 10**6]
)
def test_the_start_of_an_odd_text_is_looked_at_in_linear_time(start: bytes) -> None:
    known_format(start)  # in quadratic time, an hour


def test_a_path_of_digits_makes_no_list() -> None:
    kinds = {path: known_format(b"1\t2\t" + path + b"\n") for path in (b"1.jpg", b"12", b"a", b"1a1")}
    assert [b"1.jpg", b"a", b"1a1"] == [path for path, kind in kinds.items() if kind is not None]
