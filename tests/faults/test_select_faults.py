"""``select`` that is ended in the middle, on a full disk, in a read-only folder, and with hostile input."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from helpers import image_payload, index_text, joined, write_rec
from image_helpers import POSIX, Ran, command, ended, im2rec, names_in, started
from stopping_helpers import WritingCommand

from im2rec.format.recordio import encode_record

WRITTEN = ["o.classes.txt", "o.idx", "o.keys.tsv", "o.labels.tsv", "o.rec"]


def a_set(folder: Path) -> Path:
    folder.mkdir()
    rec = write_rec(folder / "a.rec", [image_payload(row, float(row % 4), b"%d" % row) for row in range(20)])
    rec.with_name("a.classes.txt").write_text("a\nb\nc\nd\n")
    return rec


def words_for(rec: Path, folder: Path) -> list[str]:
    return ["select", str(rec), str(folder / "o.rec"), "--label", "1-3", "--relabel", "--force", "-q"]


@pytest.fixture
def writing(tmp_path: Path) -> WritingCommand:
    given = a_set(tmp_path / "in")
    return WritingCommand(lambda folder: words_for(given, folder), WRITTEN, tmp_path / "out")


@POSIX
@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_run_that_is_ended_while_it_writes_leaves_every_name_as_it_was(
    writing: WritingCommand, number: str, name: str
) -> None:
    writing.check_ended(number, name)


@POSIX
@pytest.mark.parametrize("name", WRITTEN)
def test_a_run_that_is_killed_while_files_get_their_names_leaves_no_file_beside_one_of_another_run(
    writing: WritingCommand, name: str
) -> None:
    writing.check_killed_at_name(name)


@pytest.mark.parametrize("fails", ["write", "flush"])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk_is_an_error_that_names_the_file_and_nothing_is_left(
    writing: WritingCommand, monkeypatch: pytest.MonkeyPatch, name: str, fails: str
) -> None:
    writing.check_full_disk(monkeypatch, name, fails)


def test_a_read_only_folder_is_an_error_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec = a_set(tmp_path / "in")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    done = im2rec("select", rec, tmp_path / "o.rec")

    assert Ran(1, "", f"im2rec: {tmp_path / 'o.rec'}: cannot be written: permission denied") == done._replace(
        err=done.err.partition(" (")[0]
    )


def hostile(rng: random.Random) -> bytes:
    payloads = [image_payload(row, rng.choice([1.0, [2.0, 3.0], -1.0]), rng.randbytes(9)) for row in range(5)]
    data = bytearray(joined(payloads))
    for _ in range(rng.randint(0, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])


OPTIONS = [
    "",
    "--relabel",
    "--header --relabel",
    "--renumber --shuffle",
    "--sample 50% --min-images 2",
    "--no-idx --key 2",
]


@pytest.mark.parametrize("seed", range(60))
def test_any_bytes_and_any_index_give_a_result_or_an_error_of_ours(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    (tmp_path / "a.rec").write_bytes(hostile(rng))
    if rng.random() < 0.7:
        offsets = [0, *(4 * rng.randrange(60) for _ in range(4))]
        (tmp_path / "a.idx").write_bytes(index_text(sorted(set(offsets))))
    out = tmp_path / "o.rec"
    done = im2rec("select", tmp_path / "a.rec", out, *OPTIONS[seed % len(OPTIONS)].split(), "-q")

    assert done.code in (0, 3, 4, 5), done
    assert out.exists() == bool(done.out)
    if out.exists():
        assert done.code == 5 or not done.err.startswith("im2rec:")
        assert '"state": "agrees"' in im2rec("inspect", out, "--json").out
    else:
        assert 1 == len(done.err.splitlines())
        assert {"a.rec", "a.idx"} >= set(names_in(tmp_path))


def test_a_frame_that_claims_an_enormous_length_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    frame = encode_record(image_payload(0, 1.0, b"image"))
    path.write_bytes(frame + b"\x0a\x23\xd7\xce\xff\xff\xff\x1f" + frame)

    done = command("select", path, tmp_path / "o.rec")
    assert 5 == done.code
    assert frame == (tmp_path / "o.rec").read_bytes()[: len(frame)]


WHILE_DECODING = """
import signal
from im2rec.images.codec import decode as real
from im2rec.selection import decoding
decoding.decode = lambda *words, **options: (signal.raise_signal(signal.SIGINT), real(*words, **options))[1]
"""


@POSIX
def test_ctrl_c_while_images_are_decoded_leaves_nothing_and_names_the_command_that_begins_again(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(row, 0.0, b"%d" % row) for row in range(4)])
    words = ["select", str(rec), str(tmp_path / "o.rec"), "--decodable", "--workers", "1"]
    with started(*words, before=f"exec({WHILE_DECODING!r})") as process:
        ran = ended(process)

    assert Ran(130, "", f"im2rec: interrupted; to begin again: im2rec {' '.join(words)}\n") == ran
    assert ["a.idx", "a.rec"] == names_in(tmp_path)
