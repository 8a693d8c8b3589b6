"""``merge`` that is ended in the middle, on a full disk, in a read-only folder, beside another, and of hostile sets."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from helpers import image_payload, joined, message_of
from image_helpers import POSIX, im2rec, names_in
from merge_helpers import a_set, faces, images_of
from stopping_helpers import WritingCommand

from im2rec.errors import Im2RecError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.rewriting.merge import merge
from im2rec.storage.writer import RecordWriter

WRITTEN = ["o.classes.txt", "o.idx", "o.keys.tsv", "o.labels.tsv", "o.rec", "o.same.tsv", "property"]


def sets(folder: Path) -> list[Path]:
    a = faces(folder / "a" / "train.rec", [0, 0, 1], b"x", size="2,16,16", names=["a", "b"])
    return [a, faces(folder / "b" / "train.rec", [0, 1, 1], b"x", size="2,16,16", names=["c", "d"])]


def words_for(paths: list[Path], folder: Path) -> list[str]:
    return ["merge", *map(str, paths), str(folder / "o.rec"), "--force", "-q"]


@pytest.fixture
def writing(tmp_path: Path) -> WritingCommand:
    given = sets(tmp_path)
    return WritingCommand(lambda folder: words_for(given, folder), WRITTEN, tmp_path / "out")


@POSIX
@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_merge_that_is_ended_while_it_writes_leaves_every_name_as_it_was(
    writing: WritingCommand, number: str, name: str
) -> None:
    writing.check_ended(number, name)


@POSIX
@pytest.mark.parametrize("name", WRITTEN)
def test_a_merge_that_is_killed_while_files_get_their_names_leaves_no_file_beside_one_of_another(
    writing: WritingCommand, name: str
) -> None:
    writing.check_killed_at_name(name)


@pytest.mark.parametrize("fails", ["write", "flush"])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk_is_an_error_that_names_the_file_and_nothing_is_left(
    writing: WritingCommand, monkeypatch: pytest.MonkeyPatch, name: str, fails: str
) -> None:
    writing.check_full_disk(monkeypatch, name, fails)


def test_a_read_only_folder_is_an_error_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sets(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    ran = im2rec("merge", *paths, tmp_path / "o.rec")

    assert (1, "") == (ran.code, ran.out)
    assert f"{tmp_path / 'o.rec'}: cannot be written: permission denied" in ran.err
    assert ["a", "b"] == names_in(tmp_path)


def test_a_second_run_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    paths, out = sets(tmp_path), tmp_path / "out" / "o.rec"
    out.parent.mkdir()
    with RecordWriter(out) as writer:
        writer.write(image_payload(1), key=1)
        assert "another im2rec is writing it" in message_of(lambda: merge(paths, out, force=True))
    assert 0 == im2rec("merge", *paths, out, "--force").code


def test_sets_with_random_bytes_in_them_are_merged_or_refused(tmp_path: Path) -> None:
    good = a_set(tmp_path / "good.rec", [(n, float(n), b"good %d" % n) for n in range(4)])
    payloads = [image_payload(n, float(n % 3), b"image %d " % n * 5) for n in range(12)]
    payloads += [encode_image_record(IRHeader(0, [13, 15], 0), b""), encode_image_record(IRHeader(0, [1, 13], 13), b"")]
    data, drawn = joined(payloads), random.Random(7)
    bad, merged, refused = tmp_path / "bad.rec", 0, list[str]()
    for _ in range(60):
        changed = bytearray(data)
        for _change in range(drawn.randrange(1, 4)):
            start = drawn.randrange(len(data))
            changed[start : start + drawn.randrange(1, 9)] = drawn.randbytes(drawn.randrange(9))
        bad.write_bytes(changed)
        try:
            summary = merge([good, bad], tmp_path / "o.rec", force=True)
        except Im2RecError as error:
            refused.append(str(error))
            continue
        merged += 1
        contents = [content for *_, content in images_of(tmp_path / "o.rec")]
        assert [b"good 0", b"good 1", b"good 2", b"good 3"] == contents[:4]
        assert summary.images == len(contents)
    assert merged > 20
    assert not any("\n" in message for message in refused)
