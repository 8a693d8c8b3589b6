"""The file beside each part of a pack: what it says, what ties it to its part, and files that are none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from helpers import image_payload, message_of, write_rec
from image_helpers import a_list_of_images, names_in

from im2rec.errors import InputError
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.packing.part_file import part_file_path, read_part_file, write_part_file
from im2rec.packing.report import PackSummary
from im2rec.storage import output

IDENTITY = {"list": "ab" * 32, "root": "photos\udcff/", "resize": 256, "max_pixels": None, "draft": False}
NO_PART_FILE = "is no part file, or is damaged (pack the part again)"


def a_part(folder: Path, records: int = 3, *, bad: int = 0) -> Path:
    """Write a part of *records* records with its part file, and return its path."""
    rec = write_rec(folder / "o.rec.part002", [image_payload(n) for n in range(records)], index=False)
    write_rec(folder / "o.rec", [image_payload(n) for n in range(records)])
    (folder / "o.idx").rename(folder / "o.rec.part002.idx")
    (folder / "o.rec").unlink()
    if bad:
        (folder / "o.rec.part002.bad.jsonl").write_text("{}\n" * bad)
    reasons = {"missing": bad} if bad else {}
    written = write_part_file(rec, IDENTITY, nsplit=4, part=2, records=records, bad=reasons)
    assert part_file_path(rec) == written
    return rec


def test_a_part_file_lies_beside_its_part() -> None:
    assert Path("d/o.rec.part000.json") == part_file_path("d/o.rec.part000")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rec = a_part(tmp_path, bad=2)
    index = (tmp_path / "o.rec.part002.idx").read_bytes()
    info = read_part_file(part_file_path(rec))

    assert (4, 2, 3, {"missing": 2}) == (info.nsplit, info.part, info.records, info.bad)
    assert (rec.stat().st_size, len(index), 6) == (info.rec_bytes, info.index_bytes, info.report_bytes)
    assert hashlib.sha256(index).hexdigest() == info.index_sha256
    assert IDENTITY == info.identity
    assert list(IDENTITY) == list(info.identity)
    assert ["o.rec.part002" + suffix for suffix in ("", ".bad.jsonl", ".idx", ".json")] == names_in(tmp_path)


def test_a_part_of_an_empty_share_has_a_part_file_too(tmp_path: Path) -> None:
    info = read_part_file(part_file_path(a_part(tmp_path, 0)))

    assert (0, 0, 0, {}, 0) == (info.records, info.rec_bytes, info.index_bytes, info.bad, info.report_bytes)


def test_reasons_without_an_image_do_not_count(tmp_path: Path) -> None:
    rec = a_part(tmp_path)
    write_part_file(rec, {"libraries": {"numpy": "2.1"}}, nsplit=4, part=2, records=3, bad={"missing": 0})
    info = read_part_file(part_file_path(rec))
    assert ({}, 0, {"libraries": {"numpy": "2.1"}}) == (info.bad, info.report_bytes, info.identity)

    path = part_file_path(rec)
    path.write_bytes(path.read_bytes().replace(b'"bad": {}', b'"bad": {"missing": 0}'))
    assert info == read_part_file(path)


def test_an_older_part_file_is_replaced(tmp_path: Path) -> None:
    a_part(tmp_path, 3)
    assert 5 == read_part_file(part_file_path(a_part(tmp_path, 5))).records


def test_the_report_of_an_earlier_pack_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "o.rec.part002.bad.jsonl").write_text("{}\n")
    assert 0 == read_part_file(part_file_path(a_part(tmp_path))).report_bytes


WRONG: list[dict[str, Any]] = [
    {"nsplit": "4"},
    {"nsplit": 2},
    {"part": -1},
    {"part": True},
    {"records": 1.0},
    {"records": 0},
    {"records": 10**30},
    {"rec_bytes": None},
    {"index_bytes": 0},
    {"index_sha256": "ab"},
    {"index_sha256": 7},
    {"report_bytes": 7},
    {"bad": []},
    {"bad": {"missing": "1"}},
    {"bad": {"missing": 1}},
    {"pack": []},
    {"pack": {"a": [[1]]}},
    {"pack": {"a": {"b": {}}}},
    {"pack": float("nan")},
    {"schema": "1"},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_value_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = part_file_path(a_part(tmp_path))
    values = json.loads(path.read_bytes())
    path.write_text(json.dumps({**values, **change}))

    assert f"{path}: {NO_PART_FILE}" == message_of(read_part_file, path)


def test_a_part_file_without_one_of_its_keys_is_refused(tmp_path: Path) -> None:
    path = part_file_path(a_part(tmp_path))
    values = json.loads(path.read_bytes())
    for name in values:
        path.write_text(json.dumps({key: value for key, value in values.items() if key != name}))
        assert f"{path}: {NO_PART_FILE}" == message_of(read_part_file, path), name


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[" * 100_000, b"\xff\xfe{", b"1" * 10_000, b"[]"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "o.json"
    path.write_bytes(content)

    assert f"{path}: {NO_PART_FILE}" == message_of(read_part_file, path)


def test_a_part_file_of_a_later_version_is_named_as_such(tmp_path: Path) -> None:
    path = part_file_path(a_part(tmp_path))
    path.write_bytes(path.read_bytes().replace(b'"schema": 1', b'"schema": 2'))

    problem = "is of another version: its schema is 2, and this im2rec reads 1"
    assert f"{path}: {problem} (join with the im2rec that packed the part)" == message_of(read_part_file, path)


def test_large_files_and_folders_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    path.write_bytes(b" " * (1 << 20) + b"{}")
    for wrong in (path, tmp_path, tmp_path / "gone"):
        with pytest.raises(InputError):
            read_part_file(wrong)


# Part files that pack writes.


def pack_part(folder: Path, part: int = 1, *, force: bool = False) -> PackSummary:
    params = PackParams(resize=16, nsplit=2, part=part)
    return pack(folder / "l.lst", folder / "root", folder / "o.rec", params, PackOptions(workers=1, force=force))


def test_pack_writes_the_part_file_with_what_the_parts_have_in_common(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 8)
    (root / "7.jpg").write_bytes(b"text")
    summary = pack_part(tmp_path)
    path = tmp_path / "o.rec.part001.json"
    info = read_part_file(path)

    assert str(path) in summary.files
    assert 2 == summary.images
    assert (2, 1, 2, {"not an image": 1}) == (info.nsplit, info.part, info.records, info.bad)
    assert hashlib.sha256(listed.read_bytes()).hexdigest() == info.identity["list"]
    assert (16, True) == (info.identity["resize"], bool(info.identity["libraries"]["engine"]))
    assert not {"nsplit", "part"} & set(info.identity)
    pack_part(tmp_path, 0)
    assert info.identity == read_part_file(tmp_path / "o.rec.part000.json").identity


def test_a_pack_in_one_part_has_no_part_file(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    pack(listed, root, tmp_path / "o.rec", PackParams(unchanged=True), PackOptions(workers=1))
    assert not list(tmp_path.glob("*.json"))


def test_a_part_file_that_is_there_is_replaced_only_if_forced(tmp_path: Path) -> None:
    a_list_of_images(tmp_path)
    path = tmp_path / "o.rec.part001.json"
    path.write_text("old")
    assert message_of(pack_part, tmp_path).startswith(f"{path}: exists already")

    pack_part(tmp_path, force=True)
    assert 2 == read_part_file(path).nsplit


def test_an_old_part_file_never_stands_beside_a_new_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is removed before the new ``.rec`` gets its name, and the new one is written after that."""
    a_list_of_images(tmp_path)
    pack_part(tmp_path)
    renamed = []
    real = output.give_name

    def give_name(path: Path, *, force: bool) -> None:
        renamed.append((path.name, (tmp_path / "o.rec.part001.json").exists()))
        real(path, force=force)

    monkeypatch.setattr(output, "give_name", give_name)
    pack_part(tmp_path, force=True)
    assert [("o.rec.part001", False), ("o.rec.part001.idx", False), ("o.rec.part001.json", False)] == renamed


@pytest.mark.parametrize("count", [4, 1])
def test_a_run_that_ends_before_its_part_file_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """With one image the part is empty."""
    a_list_of_images(tmp_path, count)
    before = names_in(tmp_path)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("im2rec.packing.pack_output.write_part_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pack_part(tmp_path)
    assert not (tmp_path / "o.rec.part001.json").exists()
    summary = pack_part(tmp_path)

    info = read_part_file(tmp_path / "o.rec.part001.json")
    assert summary.images == info.records
    assert bool(info.records) == bool(info.identity["libraries"])
    assert sorted([*before, *(f"o.rec.part001{end}" for end in ("", ".idx", ".json"))]) == names_in(tmp_path)
