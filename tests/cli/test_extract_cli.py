"""``im2rec extract`` from the command line: its output, its exit codes, and the next command that it prints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from extract_helpers import a_rec, image, images_in, many, plain, tree, vector, with_magics
from helpers import GOLDEN
from image_helpers import im2rec, names_in, records_of

from im2rec.extraction import writers
from im2rec.extraction.writers import FolderWriter

pytestmark = pytest.mark.usefixtures("here")

PLAIN = """\
extracted 5 images of some.rec
  classes  3
  bytes    BYTES
  time     TIME
  written  out/, with out/some.lst
next: im2rec pack out/some.lst out out.rec unchanged=1
"""
ODD = """\
extracted 3 of 4 images of some.rec
  left out  2 records without an image
  problem   1 record: not an image; written as .bin, not in the list
  problem   1 record: with an id2, which is not kept
  problem   1 record: too short for an image header
  packs as  the same images and labels, with other bytes in the header of 1
            record with a label vector of a single label (pack writes a plain
            label), 1 record with a number before the label vector that is not
            its first label (im2rec.py writes 0, pack the first label)
  classes   2
  bytes     BYTES
  time      TIME
  written   out/, with out/some.lst
next: im2rec inspect some.rec --verify
"""
TARS = """\
extracted 10 images of some.rec
  classes  3
  bytes    BYTES
  time     TIME
  written  out/, with 2 shards
next: tar -tf out/some-000000.tar
"""
SOME = """\
would extract 2 of 10 images of some.rec
  classes      1
  bytes        BYTES
  would write  out/, with out/some.lst
next: im2rec extract some.rec out --label 2 --head 2
"""


def without_numbers(text: str) -> str:
    """*text* without the numbers that differ from run to run."""
    lines = []
    for line in text.splitlines():
        name = line.split()[0] if line.strip() else ""
        value = line.find(line.split()[1]) if name in ("bytes", "time") else -1
        lines.append(line[:value] + name.upper() if value > 0 else line)
    return "\n".join(lines) + "\n"


def odd_records() -> list[bytes]:
    return [
        vector(0, [6, 7], b""),
        vector(1, [3]),
        vector(2, [3, 4], field=0),
        plain(3, 1, id2=5),
        plain(4, 1, b"text"),
        b"short",
        vector(6, [1, 2], b""),
    ]


def test_the_summary_is_a_table_and_the_next_command(tmp_path: Path) -> None:
    a_rec(tmp_path, many(5))
    done = im2rec("extract", "some.rec", "out")

    assert (0, PLAIN, "") == (done.code, without_numbers(done.out), done.err)


def test_problems_and_changes_are_in_the_summary_and_give_exit_code_3(tmp_path: Path) -> None:
    a_rec(tmp_path, odd_records())
    done = im2rec("extract", "some.rec", "out")

    assert (3, ODD, "") == (done.code, without_numbers(done.out), done.err)
    assert max(map(len, done.out.splitlines())) <= 80


LABELS = {
    "vectors as im2rec.py writes them": [vector(n, [n, 2, 3.5], field=0) for n in range(4)],
    "vectors as the C++ tool writes them": [vector(n, [n, 2, 3.5]) for n in range(4)],
    "several lengths": [vector(1, [1, 2]), plain(2, 4), vector(3, [5, 6, 7]), vector(4, [8])],
    "plain labels": many(3),
}


@pytest.mark.parametrize("kind", LABELS)
def test_the_next_command_packs_records_with_the_same_ids_labels_and_images(tmp_path: Path, kind: str) -> None:
    a_rec(tmp_path, LABELS[kind])
    following = im2rec("extract", "some.rec", "out").out.splitlines()[-1]
    assert 0 == im2rec(*shlex.split(following)[2:], "-q").code

    first, second = (
        {header.id: (np.atleast_1d(header.label).tolist(), content) for header, content in records_of(Path(name))}
        for name in ("some.rec", "out.rec")
    )
    assert first == second
    assert len(LABELS[kind]) == len(first)


def test_the_summary_of_shards_ends_with_the_command_that_lists_them(tmp_path: Path) -> None:
    a_rec(tmp_path, many(10))
    done = im2rec("extract", "some.rec", "out", "--to", "tar", "--shard-size", "0.0205")

    assert (0, TARS, "") == (done.code, without_numbers(done.out), done.err)
    assert ["some-000000.tar", "some-000001.tar"] == sorted(images_in(tmp_path / "out"))


def test_a_dry_run_prints_the_expected_summary_and_writes_nothing(tmp_path: Path) -> None:
    a_rec(tmp_path, many(10))
    done = im2rec("extract", "some.rec", "out", "--dry-run", "--label", "2", "--head", "2")

    assert (0, SOME, "") == (done.code, without_numbers(done.out), done.err)
    assert ["some.rec"] == [path.name for path in tmp_path.iterdir()]


NEXT = {
    "plain": many(7),
    "vectors": [vector(n, [n, 0.1, 5]) for n in range(5)],
    "split": [plain(n, n, with_magics(n)) for n in range(3)],
}


@pytest.mark.parametrize("case", NEXT)
def test_the_next_command_gives_the_same_rec(tmp_path: Path, case: str) -> None:
    rec = a_rec(tmp_path, NEXT[case], "mit Räumen und 'Zeichen'.rec")
    done = im2rec("extract", rec.name, "out dir")
    words = shlex.split(done.out.splitlines()[-1].removeprefix("next: "))

    assert ["im2rec", "pack", f"out dir/{rec.stem}.lst", "out dir", "out.rec", "unchanged=1"] == words[:6]
    assert 0 == im2rec(*words[1:]).code
    assert rec.read_bytes() == (tmp_path / "out.rec").read_bytes()


def test_the_next_command_does_not_name_the_file_itself(tmp_path: Path) -> None:
    a_rec(tmp_path, many(2), "out.rec")
    assert im2rec("extract", "out.rec", "out").out.endswith("next: im2rec pack out/out.lst out again.rec unchanged=1\n")


def test_the_next_command_names_the_bad_records_when_nothing_can_be_packed(tmp_path: Path) -> None:
    a_rec(tmp_path, [plain(1, 0, b"text")])
    done = im2rec("extract", "some.rec", "out")

    assert 3 == done.code
    assert ["  written  out/", "next: im2rec inspect some.rec --verify"] == done.out.splitlines()[-2:]


def test_the_classes_file_of_make_list_restores_the_folders(tmp_path: Path) -> None:
    for name in ("dogs/a.png", "cats/b.png", "cats/inner/c.png", "top.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(len(name)))
    assert 0 == im2rec("make-list", "photos").code
    assert 0 == im2rec("pack", "photos.lst", "photos", "photos.rec", "unchanged=1").code
    done = im2rec("extract", "photos.rec", "out", "--classes", "photos.classes.txt")

    assert (0, "") == (done.code, done.err)
    assert {"0.png", "cats/1.png", "cats/inner/2.png", "dogs/3.png"} == set(images_in(tmp_path / "out"))
    assert sorted(images_in(tmp_path / "photos").values()) == sorted(images_in(tmp_path / "out").values())


def test_json_is_one_object_with_every_count(tmp_path: Path) -> None:
    a_rec(tmp_path, odd_records())
    done = im2rec("extract", "some.rec", "out", "--json")
    data = json.loads(done.out)

    assert (2, "extract", "some.rec", "out", "folder") == tuple(
        data[key] for key in ("schema", "command", "input", "out", "to")
    )
    assert (7, 4, 3, 2, 0) == tuple(data[key] for key in ("records", "all_images", "images", "classes", "resumed"))
    assert {"not an image": 1, "with an id2, which is not kept": 1, "too short for an image header": 1} == data[
        "problem_records"
    ]
    assert {"without an image": 2} == data["left_out"]
    assert data["vectors"]
    assert "out/some.lst" == data["list_file"]
    assert 1 == len(done.out.splitlines())


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--head", "2"], [0, 1]),
        (["--key", "4", "--key", "2"], [2, 4]),
        (["--label", "1", "--label", "2.0"], [1, 2, 4, 5, 7]),
        (["--min-images", "3"], [0, 1, 3, 4, 6, 7]),
        (["--min-images", "3", "--label", "0", "--head", "1"], [0]),
    ],
)
def test_options_select_the_records(tmp_path: Path, words: list[str], ids: list[int]) -> None:
    a_rec(tmp_path, many(8))

    assert 0 == im2rec("extract", "some.rec", "out", *words).code
    assert ids == sorted(int(Path(name).stem) for name in images_in(tmp_path / "out"))


CUT_SHORT = "(the file was cut short; make or fetch it again)"
ERRORS: dict[str, tuple[list[str], int, str]] = {
    "no rec": (["no.rec", "new"], 4, "no.rec: cannot be read: no such file or directory (check the path)"),
    "a folder": (["full", "new"], 4, "full: is a folder (name a file)"),
    "no RecordIO": (
        ["text.rec", "new"],
        4,
        "text.rec: is not a RecordIO file: it is a file of text (make or fetch it again)",
    ),
    "empty": (["empty.rec", "new"], 4, "empty.rec: is empty: it holds no records (make or fetch it again)"),
    "no images": (["bare.rec", "new"], 4, "bare.rec: holds no images (run 'im2rec inspect' on it)"),
    "damaged": (["cut.rec", "new"], 5, "cut.rec, byte 0: holds no whole records (run 'im2rec inspect' on it)"),
    "not empty": (["some.rec", "full"], 1, "full: exists already and is not empty (choose another folder)"),
    "a file": (["some.rec", "text.rec"], 1, "text.rec: is a file (name a folder)"),
    "no parent": (["some.rec", "no/new"], 1, "no/new: the folder no is missing (make it first)"),
    "no classes": (
        ["some.rec", "new", "--classes", "no.txt"],
        4,
        "no.txt: cannot be read: no such file or directory (check the path)",
    ),
    "hostile classes": (
        ["some.rec", "new", "--classes", "hostile.txt"],
        4,
        "hostile.txt, line 2: the class '../b' leads out of the folder by '..' (name a folder inside DIR)",
    ),
    "shards of folders": (["some.rec", "new", "--shard-size", "9"], 2, "--shard-size is for --to tar (add --to tar)"),
    "nothing chosen": (
        ["some.rec", "new", "--key", "99"],
        4,
        "some.rec: no record has the key 99 (keys run from 0 to 4)",
    ),
    "no DIR": (["some.rec"], 2, "missing argument 'DIR' (see 'im2rec extract --help')"),
    "no number": (
        ["some.rec", "new", "--head", "0"],
        2,
        "invalid value for '--head': 0 must be 1 or more (see 'im2rec extract --help')",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_and_the_right_code(tmp_path: Path, case: str) -> None:
    rec = a_rec(tmp_path, many(5))
    a_rec(tmp_path, [vector(0, [1, 2], b"")], "bare.rec")
    (tmp_path / "cut.rec").write_bytes(rec.read_bytes()[:50])
    (tmp_path / "text.rec").write_bytes(b"some text")
    (tmp_path / "empty.rec").touch()
    (tmp_path / "hostile.txt").write_text("a\n../b\n", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    before = tree(tmp_path)
    words, code, message = ERRORS[case]
    done = im2rec("extract", *words)

    assert (code, "", f"im2rec: {message}\n") == (done.code, done.out, done.err)
    assert before == tree(tmp_path)


def test_an_earlier_extraction_is_refused_with_a_hint_at_force_and_replaced_with_force(tmp_path: Path) -> None:
    a_rec(tmp_path, many(5))
    assert 0 == im2rec("extract", "some.rec", "out").code
    refused = im2rec("extract", "some.rec", "out", "--head", "1")
    assert 1 == refused.code
    hint = "choose another folder, or replace it with --force"
    assert f"im2rec: out: exists already and is not empty ({hint})\n" == refused.err
    assert 5 == len(images_in(tmp_path / "out"))

    assert 0 == im2rec("extract", "some.rec", "out", "--head", "1", "--force").code
    assert ["0/0.png"] == sorted(images_in(tmp_path / "out"))


def test_an_insightface_set_is_extracted_without_its_header_records_and_with_exit_code_0(tmp_path: Path) -> None:
    faces = [plain(n, n // 3) for n in range(1, 7)]
    a_rec(tmp_path, [vector(0, [7, 9], b""), *faces, vector(7, [1, 3], b""), vector(8, [3, 7], b"")], index=True)
    done = im2rec("extract", "some.rec", "out")

    assert 0 == done.code
    assert "  left out  3 records without an image" == done.out.splitlines()[1]


def test_a_file_written_by_mxnet_is_extracted_and_packed_to_the_same_bytes(tmp_path: Path) -> None:
    done = im2rec("extract", GOLDEN / "pass_through.rec", "out")
    words = shlex.split(done.out.splitlines()[-1].removeprefix("next: "))

    assert 0 == done.code
    assert 0 == im2rec(*words[1:], "--quiet").code
    assert (GOLDEN / "pass_through.rec").read_bytes() == (tmp_path / "out.rec").read_bytes()
    assert (GOLDEN / "pass_through.idx").read_bytes() == (tmp_path / "out.idx").read_bytes()


def test_restart_begins_again_and_is_named_where_another_extraction_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    a_rec(tmp_path, many(12))
    with monkeypatch.context() as patch:
        patch.setattr(writers, "BATCH_RECORDS", 5)
        patch.setattr(FolderWriter, "finish", interrupt)
        assert 130 == im2rec("extract", "some.rec", "out", "-q").code
    refused = im2rec("extract", "some.rec", "out", "--head", 3)

    hint = "(remove it, or begin again with --restart)"
    expected = f"im2rec: out.im2rec-partial: was begun with head=None, not head=3 {hint}\n"
    assert (1, "", expected) == refused
    done = im2rec("extract", "some.rec", "out", "--head", 3, "--restart", "--json")
    assert (0, 3) == (json.loads(done.out)["resumed"], json.loads(done.out)["images"])
    assert ["out", "some.rec"] == names_in(tmp_path)


def interrupt(_writer: FolderWriter) -> None:
    raise KeyboardInterrupt
