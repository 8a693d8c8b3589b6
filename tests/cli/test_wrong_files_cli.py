"""Files that are no .rec, and indexes that are wrong or short: one rule in inspect, iterate, bench and extract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import bounds, image_payload, index_text, joined, write_rec
from image_helpers import Ran, encoded, im2rec, texture

IMAGES = [image_payload(10 + n, n % 2, encoded(texture(30, 40), "PNG")) for n in range(6)]
OFFSETS = bounds(IMAGES)[:-1]
COMMANDS = {
    "inspect": ["inspect", "some.rec"],
    "inspect --verify": ["inspect", "some.rec", "--verify"],
    "iterate": ["iterate", "some.rec"],
    "bench": ["bench", "some.rec", "--dry-run"],
    "extract": ["extract", "some.rec", "out"],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_digest_of_a_file_of_another_format_is_refused_too(here: Path) -> None:
    (here / "some.rec").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    problem = "is not a RecordIO file: it is a git-LFS pointer (run 'git lfs pull')"
    assert Ran(4, "", f"im2rec: some.rec: {problem}\n") == im2rec("digest", "some.rec")


@pytest.mark.parametrize("case", COMMANDS)
def test_a_file_of_another_format_is_one_line_and_exit_code_4(here: Path, case: str) -> None:
    problem = "it is a git-LFS pointer (run 'git lfs pull')"
    (here / "some.rec").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert Ran(4, "", f"im2rec: some.rec: is not a RecordIO file: {problem}\n") == im2rec(*COMMANDS[case])
    (here / "some.rec").write_bytes(joined(IMAGES).replace(b"\n", b"\r\n"))
    code, out, err = im2rec(*COMMANDS[case])
    assert (4, "", 1) == (code, out, err.count("\n"))
    assert "text mode" in err


@pytest.mark.parametrize("case", COMMANDS)
def test_records_without_image_headers_are_named_with_exit_code_4(here: Path, case: str) -> None:
    write_rec(here / "some.rec", [b'{"path": "a.jpg", "label": 3}'] * 3)
    code, out, err = im2rec(*COMMANDS[case])

    assert 4 == code
    if "inspect" in case:
        assert out.startswith("some.rec: 3 records, 0 images, ")
        assert "records without image headers: their payloads are JSON" in out
        assert "by payload() of im2rec.open()" in out
        assert not any(word in out for word in ("problem", "damage", "failed", "0 with"))
    else:
        problem = (
            "its records have no image headers: their payloads are JSON (read them with payload() of im2rec.open())"
        )
        assert ("", f"im2rec: some.rec: {problem}\n") == (out, err)


def test_single_records_without_image_headers_are_shown(here: Path) -> None:
    write_rec(here / "some.rec", [b'{"path": "a.jpg", "label": 3}'])

    for words in (["--head", "1"], ["--key", "0"]):
        expected = "record 0 at byte 0\n  content  no image header, but JSON, 29 B\n"
        assert Ran(0, expected, "") == im2rec("inspect", "some.rec", *words, "-q")


def test_a_wrong_index_is_refused_with_the_word_that_goes_without_it(here: Path) -> None:
    write_rec(here / "some.rec", IMAGES)
    (here / "some.idx").write_bytes(index_text([0, 4]))

    for words, way_out, remedy in (
        (["iterate", "some.rec"], ["path_imgidx=none"], "with path_imgidx=none the .rec is scanned instead"),
        (["bench", "some.rec", "--dry-run"], ["path_imgidx=none"], "with path_imgidx=none the .rec is scanned instead"),
        (["extract", "some.rec", "out", "--key", "12"], ["--no-idx"], "with --no-idx the keys are the ids"),
        (["inspect", "some.rec", "--key", "12"], ["--no-idx"], "with --no-idx the .rec is scanned instead"),
    ):
        code, out, err = im2rec(*words)
        assert (4, "", 1) == (code, out, err.count("\n"))
        assert err.startswith("im2rec: some.idx: no record starts at byte 4")
        assert err.endswith(f"; {remedy})\n")
        assert 0 == im2rec(*words, *way_out).code
    assert 3 == im2rec("inspect", "some.rec").code
    assert 0 == im2rec("inspect", "some.rec", "--no-idx").code


@pytest.mark.parametrize("listed", [[1, 2, 3, 4], [0, 1, 2, 3], [2, 3, 4, 5], [0, 2, 3, 5]], ids=str)
def test_an_index_of_some_records_is_taken_by_every_command_and_said(here: Path, listed: list[int]) -> None:
    write_rec(here / "some.rec", IMAGES)
    (here / "some.idx").write_bytes(index_text([OFFSETS[n] for n in listed], [10 + n for n in listed]))

    code, out, _ = im2rec("inspect", "some.rec")
    assert 0 == code
    assert "some.idx: lists 4 of 6 records; its keys are ids" in out
    for words in (["iterate", "some.rec", "--batch-size", "2", "-q"], ["iterate", "some.rec", "--json", "-q"]):
        code, out, err = im2rec(*words)
        assert (0, 1) == (code, err.count("\n"))
        assert err.startswith("warning: some.idx: lists only some of the records of some.rec; it leaves out ")
        assert err.endswith(" (with path_imgidx=none all are read)\n")
    assert 4 == json.loads(out)["images"]
    assert Ran(0, "", "") == im2rec("iterate", "some.rec", "path_imgidx=none", "-q")._replace(out="")
    code, out, _ = im2rec("inspect", "some.rec", "--key", str(10 + listed[1]))
    assert (0, True) == (code, out.startswith(f"record 1 at byte {OFFSETS[listed[1]]}, id {10 + listed[1]}"))
    assert 0 == im2rec("extract", "some.rec", "one", "--key", str(10 + listed[1])).code
    missing = next(n for n in range(6) if n not in listed)
    code, _, err = im2rec("extract", "some.rec", "other", "--key", str(10 + missing))
    hint = "the index lists 4 of 6 records; with --no-idx the keys are the ids"
    assert (4, True) == (code, err.endswith(f"; {hint})\n"))
    assert 0 == im2rec("extract", "some.rec", "other", "--key", str(10 + missing), "--no-idx").code
