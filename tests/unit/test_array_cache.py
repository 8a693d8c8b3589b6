"""Indexes and labels in the cache: used while the files are as they were, made again otherwise, never an error."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, index_text, joined, message_of, write_rec

from im2rec.storage import array_cache, reader
from im2rec.storage.array_cache import Listed, listed
from im2rec.storage.reader import RecordFile
from im2rec.storage.record_keys import RecordKeys

COUNT = 1200
PAYLOADS = [image_payload(n + 7, label=float(n % 5), content=b"x" * (n % 7)) for n in range(COUNT)]
OLD_S = 1_000_000_000.0  # so that all were changed long ago


def age(path: Path, seconds: float = 0) -> None:
    for file in (path, path.with_suffix(".idx")):
        if file.exists():
            os.utime(file, (OLD_S + seconds, OLD_S + seconds))


@pytest.fixture
def path(tmp_path: Path, cache: Path) -> Path:  # noqa: ARG001 - sets the cache folder
    path = write_rec(tmp_path / "some.rec", PAYLOADS, keys=range(50, 50 + COUNT))
    age(path)
    return path


class Made:
    """Counts how often a map of records was made, and how often the headers were read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.maps = self.labels = 0
        for name, field in (("map_by_index", "maps"), ("map_by_scan", "maps"), ("read_labels", "labels")):
            monkeypatch.setattr(reader, name, self._counted(getattr(reader, name), field))

    def _counted(self, function: Callable[..., Any], field: str) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            setattr(self, field, getattr(self, field) + 1)
            return function(*args, **options)

        return counted

    def take(self) -> tuple[int, int]:
        """Return both counts, and count from 0 again."""
        taken = self.maps, self.labels
        self.maps = self.labels = 0
        return taken


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def contents(path: Path, **options: Any) -> tuple[Any, ...]:
    with RecordFile(path, **options) as rec:
        labels = rec.labels
        return (
            rec.keys.tolist(),
            rec.offsets.tolist(),
            rec.end,
            rec.unlisted,
            rec.has_gaps,
            labels.ids.tolist(),
            labels.first.tolist(),
            labels.flags.tolist(),
            labels.without_content.tolist(),
        )


def entries(cache: Path) -> list[Listed]:
    return list(listed(cache))


@pytest.mark.parametrize("index", [None, False])
@pytest.mark.parametrize("damaged", ["raise", "skip"])
def test_a_file_is_mapped_and_its_labels_are_read_once(path: Path, made: Made, damaged: str, index: Any) -> None:
    first = contents(path, damaged=damaged, index=index)

    assert (1, 1) == made.take()
    assert first == contents(path, damaged=damaged, index=index)
    assert (0, 0) == made.take()


def test_the_cache_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = [contents(path), contents(path)]
    monkeypatch.setenv("IM2REC_CACHE", "off")

    assert cached == [contents(path)] * 2


def test_an_index_of_some_records_in_any_order_is_kept_as_it_is(path: Path, made: Made) -> None:
    offsets = RecordFile(path).offsets.tolist()
    lines = [3, 900, 4, 100, 1, 100]
    keys = [*lines * 183, 5, 6, 7]
    path.with_suffix(".idx").write_bytes(index_text([offsets[n] for n in [*range(1100), 1150]], keys))
    age(path, 1)
    made.take()

    first = contents(path)
    assert (1, 1) == made.take()
    assert first == contents(path)
    assert (0, 0) == made.take()
    with RecordFile(path) as rec:
        assert "leaves out" in rec.unlisted
        last = {key: ordinal for ordinal, key in enumerate(keys)}
        assert last == {key: rec.ordinal_of(key) for key in last}


@pytest.mark.parametrize("which", [".rec", ".idx"])
@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_read_again(path: Path, made: Made, which: str, change: str) -> None:
    contents(path)
    made.take()
    file = path.with_suffix(which)
    if change == "size":
        path.write_bytes(joined(PAYLOADS[:-1]) if which == ".rec" else path.read_bytes())
        path.with_suffix(".idx").write_bytes(path.with_suffix(".idx").read_bytes()[: -len(b"1249\t12345\n") or None])
        age(path)
    else:
        os.utime(file, (OLD_S + 5, OLD_S + 5))
    contents(path)

    assert (1, 1) == made.take()


def test_a_file_replaced_by_another_of_the_same_size_within_a_moment_is_read_again(path: Path) -> None:
    """Such as by a test, or a program that writes small files fast: their times of change are too coarse."""
    with RecordFile(path) as rec:
        keys = rec.keys.tolist()
    path.with_suffix(".idx").write_bytes(path.with_suffix(".idx").read_bytes().replace(b"50\t0\n", b"49\t0\n", 1))

    with RecordFile(path) as rec:
        assert [49, *keys[1:]] == rec.keys.tolist()
    assert not any(each.is_current for each in entries(Path(os.environ["IM2REC_CACHE"])))  # nothing was kept of it


def harmed_bytes(data: bytes, harm: bytes | str) -> bytes:
    changed = {"cut": data[:-1], "half": data[: len(data) // 2], "zeros": bytes(len(data))}
    changed["flipped"] = data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]
    return harm if isinstance(harm, bytes) else changed[harm]


@pytest.mark.parametrize("what", ["offsets.npy", "values.npy", "entry.json"])
@pytest.mark.parametrize("harm", [b"", b"{}", b"[]\n5a1c3c7a\n", "cut", "half", "zeros", "flipped", "gone"])
def test_a_torn_or_wrong_entry_is_made_again(path: Path, cache: Path, made: Made, what: str, harm: bytes | str) -> None:
    first = contents(path)
    made.take()
    harmed = list((cache / "indexes").glob(f"*/{what}"))
    assert harmed
    for file in harmed:
        data = file.read_bytes()
        file.unlink()
        if harm != "gone":
            file.write_bytes(harmed_bytes(data, harm))

    assert first == contents(path)
    assert {"offsets.npy": (1, 0), "values.npy": (0, 1), "entry.json": (1, 1)}[what] == made.take()
    assert first == contents(path)
    assert (0, 0) == made.take()


def test_an_entry_of_another_version_is_made_again(path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(path)
    made.take()
    monkeypatch.setattr(array_cache, "VERSION", array_cache.VERSION + 1)

    assert first == contents(path)
    assert (1, 1) == made.take()
    assert first == contents(path)
    assert (0, 0) == made.take()


def test_an_entry_with_other_facts_is_made_again(path: Path, cache: Path, made: Made) -> None:
    first = contents(path)
    made.take()
    for file in (cache / "indexes").glob("*/entry.json"):
        header = json.loads(file.read_bytes().partition(b"\n")[0])
        header["facts"] = {"other": 1}
        file.write_bytes(array_cache._encode_header(header))

    assert first == contents(path)
    assert (1, 1) == made.take()
    assert first == contents(path)
    assert (0, 0) == made.take()


def test_an_entry_that_holds_pickled_objects_is_not_loaded(path: Path, cache: Path, made: Made) -> None:
    first = contents(path)
    made.take()
    (file,) = (cache / "indexes").glob("*/offsets.npy")
    np.save(file, np.array([print] * COUNT, dtype=object), allow_pickle=True)

    assert first == contents(path)
    assert (1, 0) == made.take()


@pytest.mark.parametrize("odd", ["a file", "read-only", "off", "no home"])
def test_without_a_usable_cache_everything_works(
    path: Path, cache: Path, made: Made, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    if odd == "a file":
        cache.write_bytes(b"not a folder")
    elif odd == "read-only":
        cache.mkdir()
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "no")))
    elif odd == "off":
        monkeypatch.setenv("IM2REC_CACHE", "OFF")
    else:
        monkeypatch.delenv("IM2REC_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    first = contents(path)

    assert first == contents(path)
    assert (2, 2) == made.take()
    assert not Path("OFF").exists()


def test_small_files_are_not_kept(tmp_path: Path, cache: Path) -> None:
    path = write_rec(tmp_path / "small.rec", PAYLOADS[:999])
    age(path)
    contents(path)

    assert not cache.exists()


def test_a_damaged_file_is_not_kept(path: Path, cache: Path, made: Made) -> None:
    data = bytearray(path.read_bytes())
    at = RecordFile(path).offsets.tolist()
    data[at[5]] ^= 1
    path.write_bytes(bytes(data))
    age(path, 9)
    shutil.rmtree(cache)
    made.take()
    for _ in range(2):
        with RecordFile(path, damaged="skip") as rec:
            assert COUNT - 1 == len(rec)
            assert [5] == rec.lost.tolist()
            assert np.isnan(rec.labels.first[5])
            assert 1.0 == rec.labels[6]

    assert 2 == made.maps


def test_a_copy_by_pickle_reads_the_cache(path: Path, made: Made) -> None:
    with RecordFile(path) as rec:
        rec.labels  # noqa: B018 - loaded, and not pickled all the same
        data = pickle.dumps(rec)
        assert len(data) < 2000
        made.take()
        with pickle.loads(data) as copy:
            assert rec[17].header == copy[17].header
            assert rec.keys.tolist() == copy.keys.tolist()
            assert rec.labels[17] == copy.labels[17]
            assert not copy.offsets.flags.writeable
    assert (0, 0) == made.take()


def test_a_copy_by_pickle_outlives_the_entry(path: Path, cache: Path) -> None:
    with RecordFile(path) as rec:
        data = pickle.dumps(rec)
    shutil.rmtree(cache)

    with pickle.loads(data) as copy:
        assert 7 + 17 == copy[17].header.id


def test_a_copy_by_pickle_of_a_file_that_has_changed_since_is_refused(path: Path) -> None:
    with RecordFile(path) as rec:
        data = pickle.dumps(rec)
    age(path, 3)

    assert f"{path}: has changed since it was opened (open it again)" == message_of(pickle.loads, data)


def test_without_the_cache_a_copy_by_pickle_takes_the_arrays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IM2REC_CACHE", "off")
    with RecordFile(path) as rec:
        data = pickle.dumps(rec)
        assert len(data) > 8 * COUNT
        with pickle.loads(data) as copy:
            assert rec.keys.tolist() == copy.keys.tolist()
            assert not copy.offsets.flags.writeable


def test_arrays_of_the_cache_are_mapped_plain_and_read_only(path: Path) -> None:
    contents(path)
    with RecordFile(path) as rec:
        arrays = [rec.offsets, rec.labels.values]
        assert [np.ndarray, np.ndarray] == [type(array) for array in arrays]
        assert isinstance(rec.offsets.base, np.memmap)
        assert not any(array.flags.writeable for array in [*arrays, rec.keys, rec.labels.ids, rec.labels.flags])


def test_threads_and_processes_that_make_an_entry_at_once_all_have_it(path: Path, cache: Path) -> None:
    found: list[tuple[Any, ...]] = []
    threads = [threading.Thread(target=lambda: found.append(contents(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    code = f"import im2rec; rec = im2rec.open({os.fspath(path)!r}); print(rec.labels.ids.sum(), rec.keys.sum())"
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    for thread in threads:
        thread.join()
    outputs = {run.communicate()[0] for run in runs}

    assert [contents(path)] * 8 == found
    assert {f"{sum(range(7, 7 + COUNT))} {sum(range(50, 50 + COUNT))}".encode()} == {each.strip() for each in outputs}
    assert 2 == len(entries(cache))
    assert 2 == len(list((cache / "indexes").iterdir()))


def test_a_run_that_is_killed_while_it_keeps_an_entry_leaves_nothing_that_is_used(
    path: Path, cache: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(array_cache.disk, "sync", kill)
        patch.setattr(array_cache.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            contents(path)
    assert [] == entries(cache)
    made.take()
    contents(path)
    assert (1, 1) == made.take()
    left = [entry for entry in (cache / "indexes").iterdir() if entry.name.startswith(".")]
    assert 1 == len(left)

    os.utime(left[0], (OLD_S, OLD_S))  # a day later it is removed, when another entry is kept
    contents(path, index=False)
    assert not left[0].exists()


def test_entries_of_files_that_are_gone_are_removed_when_another_is_kept(path: Path, cache: Path) -> None:
    contents(path)
    other = path.with_name("other.rec")
    shutil.copy(path, other)
    age(other)
    path.unlink()
    contents(other)

    assert {other} == {each.paths[0] for each in entries(cache)}


def test_a_listing_names_files_records_and_bytes_and_whether_they_are_current(path: Path, cache: Path) -> None:
    contents(path)
    before = entries(cache)
    age(path, 1)

    assert [[path, path.with_suffix(".idx")]] * 2 == [each.paths for each in before]
    assert [COUNT] * 2 == [each.records for each in before]
    assert [True] * 2 == [each.is_current for each in before]
    assert [False] * 2 == [each.is_current for each in entries(cache)]
    assert all(each.nbytes > 4 * COUNT for each in before)
    assert {"damaged=raise", "labels, damaged=raise"} == {each.variant for each in before}


def test_whatever_else_lies_in_the_folder_is_neither_listed_nor_removed(path: Path, cache: Path) -> None:
    other, hidden = (cache / "indexes" / name for name in ("mine", ".unfinished-mine"))
    for folder in (other, hidden):
        folder.mkdir(parents=True)
        (folder / "entry.json").write_text(json.dumps({"version": 1}))
        os.utime(folder, (OLD_S, OLD_S))
    (cache / "indexes" / "a.txt").write_text("mine")
    contents(path)

    assert 2 == len(entries(cache))
    assert {"a.txt", "mine", ".unfinished-mine"} < {each.name for each in (cache / "indexes").iterdir()}


def test_a_disk_that_is_full_keeps_nothing_and_harms_nothing(
    path: Path, cache: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(array_cache.disk, "sync", full)
    first = contents(path)

    assert first == contents(path)
    assert (2, 2) == made.take()
    assert [] == list((cache / "indexes").iterdir())


def test_of_two_that_make_an_entry_at_once_the_later_uses_that_of_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that its arrays are not in the memory of that process alone, and its pickled copies are small."""
    real = array_cache._rename

    def rename(aside: Path, target: Path) -> None:
        other = Path(shutil.copytree(aside, aside.with_name("of another process")))
        real(other, target)
        aside.rename(target)  # fails, as a folder of that name is there

    monkeypatch.setattr(array_cache, "_rename", rename)
    with RecordFile(path) as rec:
        assert isinstance(rec.offsets.base, np.memmap)
        assert len(pickle.dumps(rec)) < 2000


def test_few_entries_are_examined_when_one_is_kept_however_many_there_are(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [path.with_name(f"z{number}.rec") for number in range(6)]
    for other in others:
        shutil.copy(path, other)
        age(other)
        RecordFile(other).close()
    for other in others:
        other.unlink()
    examined: list[Path] = []
    real = array_cache._listed
    monkeypatch.setattr(array_cache, "_listed", lambda folder: examined.append(folder) or real(folder))
    monkeypatch.setattr(array_cache, "_EXAMINED", 1)
    RecordFile(path).close()
    assert 1 == len(examined)

    for _ in range(300):  # another each time: by chance one is left out with a probability below 1e-18
        array_cache._remove_unused(cache / "indexes")
    assert [path] == [each.paths[0] for each in entries(cache)]


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_a_cache_folder_that_is_a_link_is_used(path: Path, cache: Path, made: Made) -> None:
    (cache.parent / "disk").mkdir()
    cache.symlink_to(cache.parent / "disk", target_is_directory=True)
    contents(path)
    contents(path)

    assert (1, 1) == made.take()
    assert 2 == len(entries(cache.parent / "disk")) == len(entries(cache))


def test_a_copy_by_pickle_finds_a_relative_cache_folder_or_makes_the_arrays_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IM2REC_CACHE", "relative")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with RecordFile(path) as rec:
        data = pickle.dumps(rec)
    monkeypatch.chdir(tmp_path / "other")

    with pickle.loads(data) as copy:
        assert 7 + 17 == copy[17].header.id


@pytest.mark.skipif(os.name == "nt", reason="an entry that is mapped cannot be removed on Windows")
def test_an_entry_that_is_removed_while_another_process_keeps_it_is_found_whole_or_not_at_all(
    path: Path, cache: Path
) -> None:
    first = contents(path)
    done = threading.Event()

    def remove_all() -> None:
        while not done.is_set():
            for each in entries(cache):
                array_cache.remove(each)

    remover = threading.Thread(target=remove_all)
    remover.start()
    try:
        found = [contents(path) for _ in range(30)]
    finally:
        done.set()
        remover.join()

    assert [first] * 30 == found
    assert [] == list(array_cache.unfinished(cache))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_entries_in_the_home_folder_are_readable_by_the_user_alone(
    path: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o022)
    try:
        contents(path)
        monkeypatch.delenv("IM2REC_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
        contents(path)
    finally:
        os.umask(before)

    folders = [cache / "indexes", tmp_path / "home" / "im2rec" / "indexes"]
    assert [0o755, 0o700] == [stat.S_IMODE(folder.stat().st_mode) for folder in folders]
    assert 2 == len(entries(folders[1].parent))


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_an_entry_of_a_file_that_may_not_be_examined_is_listed_and_kept(path: Path, cache: Path) -> None:
    contents(path)
    path = Path(path.rename(path.with_name("moved.rec")))
    path.with_name("some.rec").symlink_to("some.rec")  # stat() fails for root too: too many levels of links
    array_cache._remove_unused(cache / "indexes")

    assert [(False, False)] * 2 == [(each.is_current, each.is_gone) for each in entries(cache)]


def test_a_name_of_any_characters_is_kept_under_one_of_a_few(path: Path, cache: Path, made: Made) -> None:
    odd = path.with_name("Gr\u00f6\u00dfe 2 \u65e5\u672c.rec")
    path.rename(odd)
    contents(odd)
    contents(odd)

    assert (1, 1) == made.take()
    assert all(re.fullmatch(r"Gr__e_2___-[0-9a-f]{20}", each.folder.name) for each in entries(cache))
    assert {odd} == {each.paths[0] for each in entries(cache)}


def test_all_bytes_of_an_entry_are_synced_before_it_gets_its_name(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(array_cache.disk, "sync", lambda file: synced.append(os.fstat(file.fileno()).st_size))
    contents(path)

    assert sorted(file.stat().st_size for file in (cache / "indexes").glob("*/*")) == sorted(synced)


def test_labels_that_are_read_after_an_index_has_changed_are_not_kept_for_it(path: Path) -> None:
    index = path.with_suffix(".idx")
    lines = index.read_bytes().splitlines(keepends=True)
    with RecordFile(path) as rec:
        index.write_bytes(b"".join(lines[5:]))
        age(path, 2)
        assert list(range(7, 7 + COUNT)) == rec.labels.ids.tolist()

    for _ in range(2):
        with RecordFile(path) as rec:
            assert list(range(12, 7 + COUNT)) == rec.labels.ids.tolist()


def test_without_the_cache_nothing_is_worked_out_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether keys count takes a pass over all of them, and their order a sort."""
    monkeypatch.setattr(RecordKeys, "compact", lambda _: pytest.fail("the keys were examined"))
    monkeypatch.setenv("IM2REC_CACHE", "off")

    assert COUNT == len(contents(path)[0])
