"""`im2rec.open_bin`: a verification file as a sequence of pairs, of which no image is kept in memory."""

from __future__ import annotations

import multiprocessing
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bin_helpers import ACCEPTED, BINS, EXPECTED, OURS, REFUSED, bin_bytes, expected_hashes, expected_same, hashes_of
from helpers import image_payload, message_of, peak_bytes, write_rec

import im2rec
from im2rec.errors import InputError
from im2rec.format.ndarrayfile import NamedArray, encode_arrays

CHECK = " (check the path)"
AGAIN = " (make or fetch it again)"


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_published_form_is_the_same_sequence_of_pairs(name: str) -> None:
    with im2rec.open_bin(BINS / name) as pairs:
        assert ACCEPTED[name]["pairs"] == len(pairs)
        images = [content for pair in pairs for content in (pair.content1, pair.content2)]
        assert expected_hashes(name) == hashes_of(images)
        assert expected_same(name) == [pair.same for pair in pairs] == pairs.same.tolist()
        assert all(type(pair.same) is bool and type(pair.content1) is bytes for pair in pairs)
        assert np.bool_ == pairs.same.dtype


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_is_named_in_the_line(name: str) -> None:
    message = message_of(im2rec.open_bin, BINS / name)

    assert message.startswith(f"{BINS / name}")
    assert "\n" not in message


def test_pairs_are_taken_by_number_from_either_end_and_in_slices() -> None:
    pairs = im2rec.open_bin(str(OURS))

    assert pairs[5] == pairs[-1] == pairs[np.int64(5)]
    assert [pairs[1], pairs[2]] == pairs[1:3]
    assert [pairs[5], pairs[3]] == pairs[::-2][:2]
    content1, content2, same = pairs[3]
    assert [EXPECTED["pictures"][6], EXPECTED["pictures"][7]] == hashes_of([content1, content2])
    assert same is False
    assert pairs.content(7) == content2
    for number in (6, -7):
        with pytest.raises(IndexError, match=f"pair {number} is not in .*py312_p4_bytes.bin, which has 6"):
            pairs[number]
    with pytest.raises(TypeError):
        pairs["1"]  # type: ignore[call-overload]
    assert f"<PairFile {str(OURS)!r}: 6 pairs, 3 same>" == repr(pairs)


def test_a_closed_file_gives_no_images() -> None:
    with im2rec.open_bin(OURS) as pairs:
        pass
    pairs.close()

    assert f"{OURS}: is closed (open it again)" == message_of(pairs.__getitem__, 0)
    assert 6 == len(pairs.same)


def _send_hashes(pipe: Any, pairs: Any) -> None:
    pipe.send(hashes_of([content for pair in pairs for content in pair[:2]]))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_pairs_are_read_in_processes_that_are_forked_or_spawned(method: str) -> None:
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=_send_hashes, args=(theirs, im2rec.open_bin(OURS)))
    child.start()
    assert EXPECTED["pictures"] == ours.recv()
    child.join()


def test_a_copy_opens_the_file_again_and_says_if_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "löw face.bin"
    path.write_bytes(OURS.read_bytes())
    pickled = pickle.dumps(im2rec.open_bin(path))

    assert len(pickled) < 500
    assert 6 == len(pickle.loads(pickled))
    path.write_bytes(bin_bytes([b"a" * 300, b"b" * 300], [True]))
    assert f"{path}: had 4588 bytes and now has 634 (open it again)" == message_of(pickle.loads, pickled)


def test_an_image_that_was_cut_off_while_the_file_was_open_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(OURS.read_bytes())
    pairs = im2rec.open_bin(path)
    path.write_bytes(OURS.read_bytes()[:2000])

    assert f"{path}: was changed while it was open (open it again)" == message_of(pairs.__getitem__, 5)


@pytest.mark.parametrize("protocol", range(6))
def test_memory_does_not_grow_with_the_images(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.bin"
    rng = np.random.default_rng(1)
    path.write_bytes(bin_bytes([rng.bytes(100_000) for _ in range(60)], [True] * 30, protocol))

    def read() -> None:
        with im2rec.open_bin(path) as pairs:
            for pair in pairs:
                assert 100_000 == len(pair.content1) == len(pair.content2)

    assert peak_bytes(read) < 1_800_000  # of an image in protocol 0 several copies are made: 290,000 bytes and more


def other_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return files that are named .bin and are something else, with the end of the line that refuses each."""
    made: dict[str, tuple[Path, str]] = {}

    def add(name: str, data: bytes, expected: str) -> None:
        path = folder / f"{name}.bin"
        path.write_bytes(data)
        made[name] = path, expected

    add("empty", b"", f"is empty: it holds no pairs{AGAIN}")
    mean = encode_arrays([NamedArray("mean_img", np.zeros((3, 4, 4), np.float32))])
    other = "is no verification file: it is"
    add("mean", mean, f"{other} a file of MXNet's arrays, such as a mean image{CHECK}")
    features = struct.pack("<4i", 512, 1, 4, 5) + bytes(2048)
    add("mega", features, f"{other} a file of features, as MegaFace's are (features cannot be turned back into images)")
    value = pickle.dumps(b"image" * 100, 2)
    keyed = struct.pack("<I", 6) + "ä/1.j".encode() + struct.pack("<I", len(value)) + value
    add("kv", keyed, f"{other} a file of keys and pickled images, as PaddlePaddle's are{CHECK}")
    add("jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF", f"{other} an image (JPEG) (pack images with 'im2rec pack')")
    add("zeros", bytes(5000), f"{other} a file of zeros (its download or copy is not complete: fetch it again)")
    add("text", b"Abel_Pacheco\t1\t4\n", f"{other} a file of text{AGAIN}")
    for text in (b"(like this)\n", b"(draft)\n", b"((Some) text)\n"):
        add(text.decode().strip(), text, f"{other} a file of text{AGAIN}")
    add("page", b"<!DOCTYPE html><html>", "")
    add("zip", b"PK\3\4" + bytes(30), "")
    add("random", b"\xfe\xdc\xba\x98" * 9, f"{other} a file of an unknown kind, which starts with fe dc ba 98{AGAIN}")
    rec = write_rec(folder / "train.rec", [image_payload(1)])
    made["rec"] = rec, f"{other} a RecordIO file (.rec) (run 'im2rec inspect' on it)"
    return made


def test_other_files_are_refused_by_what_they_are(tmp_path: Path) -> None:
    for path, expected in other_files(tmp_path).values():
        message = message_of(im2rec.open_bin, path)
        assert message.startswith(f"{path}: is ")
        assert message.endswith(expected)
        assert "\n" not in message


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_known_by_its_first_bytes_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "o.bin"
    faces = [bytes([200 + number]) * 300 for number in range(4)]
    arrays = [np.frombuffer(face, np.uint8) for face in faces]
    for contents in (faces, tuple(faces), arrays, tuple(arrays), tuple(map(bytearray, faces))):
        for container in (tuple, list):
            path.write_bytes(pickle.dumps(container([contents, (True, False)]), protocol))
            with im2rec.open_bin(path) as pairs:
                assert faces == [content for pair in pairs for content in pair[:2]]
                assert protocol == pairs.found.protocol
    for value, found in (({"bins": faces}, "DICT"), ((np.array(faces, object), [True]), "'O8' array (4,)")):
        path.write_bytes(pickle.dumps(value, protocol))
        assert found in message_of(im2rec.open_bin, path)


def test_strings_of_python_2_in_a_tuple_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "o.bin"
    for data, protocol in ((b"((S'one'\nS'two'\nt(I01\ntt.", 0), (b"((U\3oneU\3twot(I01\ntt.", 1)):
        path.write_bytes(data)
        with im2rec.open_bin(path) as pairs:
            assert [(b"one", b"two", True)] == list(pairs)
            assert (protocol, {"str": 2}) == (pairs.found.protocol, pairs.found.images_as)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: is a folder (name a file)" == message_of(im2rec.open_bin, tmp_path)
    gone = tmp_path / "gone.bin"
    assert f"{gone}: cannot be read: no such file or directory (check the path)" == message_of(im2rec.open_bin, gone)
    with pytest.raises(InputError):
        im2rec.open_bin("a\0b")
