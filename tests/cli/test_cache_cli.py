"""``im2rec cache`` as it is typed: what it lists, what it removes, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dataset_helpers import write_files
from helpers import image_payload, write_rec
from image_helpers import im2rec, names_in

from im2rec.datasets.sets import SETS
from im2rec.storage import array_cache
from im2rec.storage.array_cache import listed
from im2rec.storage.disk import open_output
from im2rec.storage.reader import RecordFile

OLD_S = 1_000_000_000.0  # so that all files were changed long ago
(LABELS_FILE,) = (file for file in SETS["mnist"].files if file.name == "t10k-labels-idx1-ubyte.gz")
CODE_FOLDER = f"im2rec-{'ab' * 8}"


def kept_rec(path: Path, records: int = 1000, *, labels: bool = True) -> Path:
    """Write a ``.rec`` with an index, and open it, so that it is kept in the cache."""
    write_rec(path, [image_payload(n, n, b"x") for n in range(records)], keys=range(records))
    for file in (path, path.with_suffix(".idx")):
        os.utime(file, (OLD_S, OLD_S))
    with RecordFile(path) as rec:
        assert not labels or len(rec.labels) == records
    return path


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder with a short path, so that the lines of a listing are not broken."""
    with tempfile.TemporaryDirectory(dir="/tmp" if Path("/tmp").is_dir() else None) as folder:
        yield Path(folder).resolve()


@pytest.fixture
def full(here: Path, cache: Path) -> Path:
    """A cache with something of every kind, and files of the user beside it; the ``.rec`` are in the current folder."""
    kept_rec(here / "a.rec", 3000)
    kept_rec(here / "old.rec")
    kept_rec(here / "gone.rec", labels=False)
    os.utime("old.rec", (OLD_S + 9, OLD_S + 9))
    Path("gone.rec").unlink()
    write_files(
        cache / "mnist",
        {
            LABELS_FILE.name: bytes(LABELS_FILE.size),
            "train-images-idx3-ubyte.gz.part": b"half",
            "mine.txt": b"mine",
            "train-labels-idx1-ubyte.gz": b"mine, of another size",
        },
    )
    write_files(
        cache / CODE_FOLDER, {"im2rec-f.cpython-313.abc.def.kernel": bytes(500), "im2rec.cpython-313.lock": b""}
    )
    for name in (".unfinished-1234-0123abcd", ".unfinished-77-89abcdef"):
        write_files(cache / "indexes" / name, {"offsets.npy": bytes(700)})
    os.utime(cache / "indexes" / ".unfinished-77-89abcdef", (OLD_S, OLD_S))
    write_files(cache / "photos", {"1.jpg": b"mine"})
    write_files(cache / "indexes" / ".unfinished-mine", {"offsets.npy": b"mine"})
    os.utime(cache / "indexes" / ".unfinished-mine", (OLD_S, OLD_S))
    write_files(cache / "indexes" / "mine", {"entry.json": b"{}", "offsets.npy": b"mine"})
    return cache


def as_object(*words: str) -> dict[str, Any]:
    done = im2rec("cache", *words, "--json")
    assert (0, "") == (done.code, done.err)
    return dict(json.loads(done.out))


def kinds(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return sorted((each["kind"], Path(each["made_from"]).name, each["state"]) for each in entries)


REC_ENTRIES = [
    ("index", "a.rec", "current"),
    ("index", "gone.rec", "gone"),
    ("index", "old.rec", "outdated"),
    ("labels", "a.rec", "current"),
    ("labels", "old.rec", "outdated"),
]
OTHERS = [("code", "", "current"), ("download", "mnist", "current"), ("download", "mnist", "current")]
KILLED, AT_WORK = ("unfinished", "", "killed"), ("unfinished", "", "at work")
NOT_OURS = {
    "photos/1.jpg",
    "indexes/mine/entry.json",
    "indexes/mine/offsets.npy",
    "indexes/.unfinished-mine/offsets.npy",
    "mnist/mine.txt",
    "mnist/train-labels-idx1-ubyte.gz",
}


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_listing_shows_all_that_is_kept_and_where(full: Path, here: Path) -> None:
    code, out, err = im2rec("cache")
    total = as_object()["bytes"]

    assert (0, "") == (code, err)
    lines = out.splitlines()
    joined = " ".join(out.split())
    assert len(lines) <= 12
    assert f"{total / 1000:.3g} kB in {full}" in joined
    assert f"index, labels {here / 'a.rec'}: 3,000 records, " in joined
    assert f"index, labels {here / 'old.rec'}: 1,000 records, " in joined
    assert "kB, made from an older file" in joined
    assert "kB, of a file that is gone" in joined
    assert f"download mnist: {(LABELS_FILE.size + 4) / 1000:.3g} kB" in joined
    assert "code the compiled JPEG decoder: 500 B" in joined
    assert "unfinished of runs that were killed: 700 B" in joined
    assert "unfinished of a run that may be at work: 700 B" in joined
    assert "next: im2rec cache --clear --dry-run" == lines[-1]


def test_json_has_every_entry_the_largest_first(full: Path, here: Path) -> None:
    found = as_object()
    entries = found["entries"]

    assert str(full) == found["folder"]
    assert sorted([*REC_ENTRIES, *OTHERS, KILLED, AT_WORK]) == kinds(entries)
    assert sorted((each["bytes"] for each in entries), reverse=True) == [each["bytes"] for each in entries]
    assert sum(each["bytes"] for each in entries) == found["bytes"]
    assert {str(here / "a.rec"): 3000, str(here / "old.rec"): 1000, str(here / "gone.rec"): 1000} == {
        each["made_from"]: each["records"] for each in entries if each["kind"] in ("index", "labels")
    }
    assert all(Path(each["path"]).exists() for each in entries)


def test_clear_removes_what_is_made_again_and_nothing_else(full: Path, here: Path) -> None:
    before = files_in(full)
    dry = as_object("--clear", "--dry-run")
    assert before == files_in(full)
    done = as_object("--clear")

    assert sorted([*REC_ENTRIES, KILLED]) == kinds(done["entries"])
    assert sorted([*OTHERS, AT_WORK]) == kinds(done["left"])
    assert {**dry, "dry_run": False} == done
    assert sorted([*OTHERS, AT_WORK]) == kinds(as_object()["entries"])
    assert set() == NOT_OURS - files_in(full)
    assert 5 == len(names_in(here)) - len({"cache"})  # a.rec, old.rec, and three indexes


def test_clear_all_removes_downloads_and_code_too(full: Path) -> None:
    done = as_object("--clear", "--all")

    assert sorted([*REC_ENTRIES, *OTHERS, KILLED]) == kinds(done["entries"])
    assert [AT_WORK] == kinds(done["left"]) == kinds(as_object()["entries"])
    assert {*NOT_OURS, "indexes/.unfinished-1234-0123abcd/offsets.npy"} == files_in(full)
    assert not (full / CODE_FOLDER).exists()


def test_clear_says_what_it_has_removed_and_left(full: Path) -> None:
    dry, done, again = (im2rec("cache", "--clear", *words) for words in (["--dry-run"], [], []))
    left = f"{(LABELS_FILE.size + 4 + 500) / 1000:.3g} kB of downloads and compiled code; --all removes them, too"
    words = [" ".join(each.out.split()) for each in (dry, done, again)]

    assert [0, 0, 0] == [dry.code, done.code, again.code]
    assert words[0].startswith("would remove ")
    assert words[0].endswith("next: im2rec cache --clear")
    assert words[1].startswith("removed ")
    assert f"from {full} index, labels " in words[1]
    assert f"left {left} 700 B of a run that may be at work next: im2rec cache" in words[1]
    assert f"nothing to remove in {full} left {left}" in words[2]


def test_named_files_alone_are_listed_and_cleared(full: Path, here: Path) -> None:
    (here / "never.rec").touch()
    listing = im2rec("cache", "a.rec").out
    gone, a_rec = as_object("--clear", "gone.rec"), as_object("--clear", str(here / "a.rec"), "never.rec")

    assert f" of a.rec in {full} " in " ".join(listing.split())
    assert "next: im2rec cache --clear a.rec --dry-run" == listing.splitlines()[-1]
    assert [("index", "gone.rec", "gone")] == kinds(gone["entries"])
    assert [("index", "a.rec", "current"), ("labels", "a.rec", "current")] == kinds(a_rec["entries"])
    assert [] == gone["left"] == a_rec["left"]
    assert sorted([*REC_ENTRIES[2:3], *REC_ENTRIES[4:], *OTHERS, KILLED, AT_WORK]) == kinds(as_object()["entries"])
    assert f"nothing of never.rec is kept in {full}" == " ".join(im2rec("cache", "never.rec").out.split())
    with RecordFile("a.rec") as rec:
        assert 3000 == len(rec)


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_a_file_is_found_by_another_path_too(here: Path, cache: Path) -> None:
    kept_rec(here / "a.rec", labels=False)
    Path("link").symlink_to(here)

    assert [("index", "a.rec", "current")] == kinds(as_object("link/a.rec")["entries"])
    assert 1 == len(names_in(cache / "indexes"))


def test_a_listing_of_many_files_has_a_dozen_lines(here: Path, cache: Path) -> None:
    for number in range(14):
        kept_rec(here / f"{number}.rec", 1000 + number, labels=False)
    lines = im2rec("cache").out.splitlines()
    (others,) = (line for line in lines if line.startswith("  others"))

    assert 14 == len(as_object()["entries"])
    assert len(lines) <= 12
    shown = sum(f"{here}" in line and ".rec" in line for line in lines)
    assert others.split()[1] == f"{14 - shown},"
    assert f"{here / '13.rec'}: 1,013 records, " in " ".join(" ".join(lines).split())
    assert str(cache) in lines[0]


def test_a_path_with_blanks_is_not_broken(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "a folder with a long name" / "and another one of the same kind" / "my pictures"
    folder.mkdir(parents=True)
    path = kept_rec(folder / "my set.rec")

    assert f"{path}: 1,000 records" in im2rec("cache").out.replace("\n" + " " * 17, " ")
    assert any(str(path) in line for line in im2rec("cache").out.splitlines())
    assert cache.is_dir()


@pytest.mark.parametrize("words", [[], ["--clear"], ["--clear", "--all"], ["a.rec"]])
def test_without_a_cache_nothing_is_kept(
    here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (here / "a.rec").touch()
    of_rec = " of a.rec" if "a.rec" in words else ""
    done = im2rec("cache", *words)
    assert (0, f"nothing{of_rec} is kept in {cache}", "") == (done.code, " ".join(done.out.split()), done.err)
    assert not cache.exists()

    monkeypatch.setenv("IM2REC_CACHE", "off")
    assert (0, "nothing is kept: no cache folder: IM2REC_CACHE is off\n", "") == im2rec("cache", *words)
    found = as_object(*words)
    assert (None, "no cache folder: IM2REC_CACHE is off", []) == (found["folder"], found["reason"], found["entries"])


@pytest.mark.parametrize("place", [".", "indexes"])
def test_a_cache_that_cannot_be_read_is_an_error(cache: Path, place: str) -> None:
    unreadable = cache / place
    unreadable.parent.mkdir(exist_ok=True)
    unreadable.write_bytes(b"not a folder")
    code, out, err = im2rec("cache", "--clear")

    assert (1, "", 1) == (code, out, err.count("\n"))
    assert err.startswith(f"im2rec: {unreadable}: cannot be read: ")
    assert err.endswith(" (set IM2REC_CACHE to a folder)\n")


def test_an_entry_that_cannot_be_removed_is_an_error_after_the_others(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name.startswith("a-"):
            raise PermissionError(13, "Permission denied")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    code, out, err = im2rec("cache", "--clear")

    assert (1, "", 1) == (code, out, err.count("\n"))
    assert err.startswith(f"im2rec: {full / 'indexes'}")
    assert ": cannot be removed: permission denied, and so 1 other (see whether" in err
    assert sorted([*REC_ENTRIES[:1], *REC_ENTRIES[3:4], *OTHERS, AT_WORK]) == kinds(as_object()["entries"])


def test_a_download_at_work_is_not_removed(full: Path) -> None:
    part = full / "mnist" / "train-images-idx3-ubyte.gz.part"
    with open_output(part, locked=True):
        code, _, err = im2rec("cache", "--clear", "--all")
    assert 1 == code
    assert err.startswith(f"im2rec: {part}: cannot be removed: ")
    assert b"half" == part.read_bytes()

    assert [("download", "mnist", "current")] == kinds(as_object("--clear", "--all")["entries"])
    assert not part.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_links_to_other_folders_are_not_followed(here: Path, cache: Path) -> None:
    kept_rec(here / "a.rec")
    (entry,) = (each for each in listed(cache) if each.variant.startswith("damaged"))
    mine = here / "mine"
    write_files(mine / "mnist", {LABELS_FILE.name: bytes(LABELS_FILE.size)})
    write_files(mine / CODE_FOLDER, {"im2rec-f.cpython-313.abc.def.kernel": b"mine"})
    entry.folder.rename(mine / entry.folder.name)
    for name, target in (("mnist", "mnist"), (CODE_FOLDER, CODE_FOLDER), (f"indexes/{entry.folder.name}", "")):
        (cache / name).symlink_to(mine / (target or entry.folder.name), target_is_directory=True)
    before = files_in(mine)

    assert [("labels", "a.rec", "current")] == kinds(as_object("--clear", "--all")["entries"])
    assert before == files_in(mine)


def test_a_folder_of_compiled_code_with_other_files_is_left(cache: Path) -> None:
    ours, others = (
        {"im2rec-f.cpython-313.abc.def.kernel": b"ours"},
        {"im2rec.cpython-313.lock": b"", "mine.txt": b"mine"},
    )
    write_files(cache / CODE_FOLDER, ours | others)

    assert [OTHERS[0]] == kinds(as_object("--clear", "--all")["entries"])
    assert sorted(others) == names_in(cache / CODE_FOLDER)


def test_a_copy_of_an_entry_under_another_name_is_not_removed(here: Path, cache: Path) -> None:
    kept_rec(here / "a.rec", labels=False)
    (entry,) = listed(cache)
    copy = shutil.copytree(entry.folder, cache / "indexes" / "my copy")

    assert 1 == len(as_object("--clear")["entries"])
    assert (copy / "offsets.npy").is_file()


READER = """
import sys, im2rec
with im2rec.open("a.rec") as rec:
    rec.labels
    print(rec.offsets.base is None, flush=True)
    sys.stdin.readline()
    print(int(rec.offsets.sum()), float(rec.labels.values.sum()), len(rec[2999].content))
"""


@pytest.mark.skipif(os.name == "nt", reason="an entry that is mapped cannot be removed on Windows")
@pytest.mark.usefixtures("full")
def test_a_process_that_has_mapped_an_entry_keeps_its_arrays() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert "False\n" == reader.stdout.readline()
        as_object("--clear")
        reader.stdin.write("\n")
        reader.stdin.flush()
        answer = reader.stdout.read()

    with RecordFile("a.rec") as rec:
        assert f"{int(rec.offsets.sum())} {float(sum(range(3000)))} 1\n" == answer


USAGE = {
    "--all": "--all is for --clear (without --clear, all is listed)",
    "--clear --all a.rec": "--all is for the whole cache (leave out --all, or REC)",
}


@pytest.mark.parametrize("words", USAGE)
def test_options_that_do_not_go_together_are_wrong_usage(words: str) -> None:
    assert (2, "", f"im2rec: {USAGE[words]}\n") == im2rec("cache", *words.split())


def test_a_run_that_writes_an_entry_at_the_same_time_is_not_disturbed(
    here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = array_cache._rename

    def rename(aside: Path, target: Path) -> None:
        as_object("--clear", "--all")
        real(aside, target)

    monkeypatch.setattr(array_cache, "_rename", rename)
    kept_rec(here / "a.rec", labels=False)

    assert [("index", "a.rec", "current")] == kinds(as_object()["entries"])
    assert 1 == len(names_in(cache / "indexes"))


@pytest.mark.usefixtures("cache")
def test_a_file_that_is_not_there_is_missing_unless_something_is_kept_of_it(here: Path) -> None:
    kept_rec(here / "a.rec")
    (here / "a.rec").unlink()

    missing = im2rec("cache", "--clear", "b.rec", "a.rec")
    assert 4 == missing.code
    assert "b.rec: is not there, and nothing is kept of it (check the path)" in missing.err
    assert 0 == im2rec("cache", "--clear", "a.rec").code
    assert 4 == im2rec("cache", "a.rec").code
