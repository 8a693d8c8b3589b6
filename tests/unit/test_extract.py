"""Extracting: the selected records, the names of the files, and that packing again gives the same file."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
import math
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from extract_helpers import (
    a_rec,
    image,
    images_in,
    many,
    packed_again,
    plain,
    tree,
    vector,
    with_label_bits,
    with_magics,
)
from helpers import GOLDEN, golden_json, image_payload, joined, message_of, peak_bytes, write_rec

from im2rec.errors import InputError, OutputError, ParameterError
from im2rec.extraction import class_folders, writers
from im2rec.extraction.extract import ExtractOptions, ExtractSummary, extract
from im2rec.extraction.resumable_folder import MARKER, ResumableFolder
from im2rec.extraction.writers import BATCH_BYTES, read_samples
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import decode_image_record, label_text
from im2rec.format.recordio import read_records
from im2rec.images import signatures
from im2rec.selection.filters import Selection, class_numbers, select_records
from im2rec.selection.headers import ScannedFile

SUFFIXES = [".jpg", ".png", ".bmp", ".gif", ".webp", ".tiff", ".ppm", ".jp2"]
ONE_GROUP = [plain(n, n % 2) for n in range(4)]


def extracted(out: Path, payloads: Sequence[bytes], **options: Any) -> ExtractSummary:
    """The summary of extracting *payloads* to *out*."""
    return extract(a_rec(out.parent, payloads), out, ExtractOptions(**options))


def names(out: Path) -> list[str]:
    return sorted(images_in(out))


def test_images_are_files_of_their_label_and_id_and_a_list_names_them_in_file_order(out: Path) -> None:
    summary = extracted(out, [plain(7, 2), plain(3, 0), plain(11, 2)])

    assert {"2/7.png": image(7), "0/3.png": image(3), "2/11.png": image(11)} == images_in(out)
    assert "7\t2\t2/7.png\n3\t0\t0/3.png\n11\t2\t2/11.png\n" == (out / "some.lst").read_text(encoding="utf-8")
    assert [".im2rec-extract.json", "0", "2", "some.lst"] == sorted(path.name for path in out.iterdir())
    assert (3, 3, 3, 2) == (summary.records, summary.all_images, summary.images, summary.classes)
    assert sum(len(image(n)) for n in (7, 3, 11)) == summary.bytes_out
    assert str(out / "some.lst") == summary.list_file
    assert not out.with_name("out.im2rec-partial").exists()


def test_the_suffix_is_that_of_the_content(out: Path) -> None:
    extracted(out, [plain(n, 0, image(n, suffix)) for n, suffix in enumerate(SUFFIXES)])

    assert sorted(f"0/{n}{suffix}" for n, suffix in enumerate(SUFFIXES)) == names(out)
    assert {kind for _, _, kind in signatures._TAKEN} == set(signatures.EXTENSIONS)


LABELS = [
    (0.0, "0"),
    (-0.0, "0"),
    (-3.0, "-3"),
    (16777216.0, "16777216"),
    (float(np.float32(0.1)), "0.1"),
    (float(np.float32(1e-20)), "1e-20"),
    (float(np.float32(3.4e38)), "339999995214436424907732413799364296704"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    (math.nan, "nan"),
]


def test_a_label_is_named_by_the_fewest_digits_that_give_it_back(out: Path) -> None:
    assert [text for _, text in LABELS] == [label_text(label) for label, _ in LABELS]
    labels, back = (np.float32([float(pair[n]) for pair in LABELS]) for n in (0, 1))
    assert np.array_equal(labels, back, equal_nan=True)

    extracted(out, [plain(n, label) for n, (label, _) in enumerate(LABELS)])
    assert {text for _, text in LABELS} == {name.partition("/")[0] for name in names(out)}


ROUND_TRIPS = {
    "plain": (many(30), {}),
    "labels": ([plain(n, label) for n, (label, _) in enumerate(LABELS) if str(label) != "-0.0"], {}),
    "ids": ([plain(id_, 1, image(0)) for id_ in (2**64 - 1, 0, 2**53 + 1, 9, 9, 0)], {}),
    "split by magics": ([plain(n, n, with_magics(n)) for n in range(5)], {}),
    "vectors": ([vector(n, [n % 3, 0.1 * n, 1e9, -0.5]) for n in range(20)], {"pack_label": True}),
    "both": ([plain(1, 4), vector(2, [5, 6]), plain(3, 0.3), vector(4, range(30))], {"pack_label": True}),
    "split vectors": ([vector(n, [n, 1, 2], with_magics(n)) for n in range(4)], {"pack_label": True}),
    "a magic as label": ([plain(1, np.frombuffer(MAGIC, "<f4")[0])], {}),
    "every kind": ([plain(n, 0, image(n, suffix)) for n, suffix in enumerate(SUFFIXES)], {}),
}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_an_extraction_packs_to_the_same_bytes(out: Path, case: str) -> None:
    payloads, params = ROUND_TRIPS[case]
    summary = extracted(out, payloads)

    assert {} == summary.problem_records
    assert {} == summary.changes
    assert bool(params) == summary.vectors
    assert a_rec(out.parent, payloads, "same.rec").read_bytes() == packed_again(out, **params)


@pytest.mark.parametrize("name", ["cpp_unchanged", "pass_through", "cpp_pack_label", "jpg_default"])
def test_files_of_mxnet_pack_to_the_same_bytes(out: Path, name: str) -> None:
    vectors = extract(GOLDEN / f"{name}.rec", out).vectors

    assert (GOLDEN / f"{name}.rec").read_bytes() == packed_again(out, name, pack_label=vectors)


def test_files_of_repeated_ids_have_the_ordinal_of_the_record_in_their_names(out: Path) -> None:
    extracted(out, [plain(5, 1), plain(6, 1), plain(5, 2), plain(5, 1)])
    assert ["1/5-0.png", "1/5-3.png", "1/6.png", "2/5-2.png"] == names(out)


def test_an_id_that_is_selected_once_needs_no_ordinal(out: Path) -> None:
    extracted(out, [plain(5, 1), plain(6, 1), plain(5, 2)], labels=(1,))
    assert ["1/5.png", "1/6.png"] == names(out)


# Records that are not images, and headers that pack writes differently.


def insightface() -> list[bytes]:
    """A header record, five faces of two people, and their two identity records."""
    faces = [plain(n, (n - 1) // 3) for n in range(1, 6)]
    return [vector(0, [6, 8], b""), *faces, vector(6, [1, 4], b""), vector(7, [4, 6], b"")]


def test_header_and_identity_records_are_left_out_and_counted(out: Path) -> None:
    summary = extracted(out, insightface())

    assert ["0/1.png", "0/2.png", "0/3.png", "1/4.png", "1/5.png"] == names(out)
    assert (8, 5, 5, 2) == (summary.records, summary.all_images, summary.images, summary.classes)
    assert {"without an image": 3} == summary.left_out
    assert {} == summary.problem_records
    assert {} == summary.changes
    assert not summary.vectors


def test_content_that_is_not_an_image_is_written_but_not_listed(out: Path) -> None:
    summary = extracted(out, [plain(1, 0), plain(2, 0, b"some text")])

    assert {"0/1.png": image(1), "0/2.bin": b"some text"} == images_in(out)
    assert "1\t0\t0/1.png\n" == (out / "some.lst").read_text(encoding="utf-8")
    assert {"not an image": 1} == summary.problem_records
    assert 1 == summary.images
    assert 2 == summary.all_images


def test_a_file_without_a_single_image_gives_no_list_to_pack(out: Path) -> None:
    summary = extracted(out, [plain(2, 0, b"some text")])

    assert summary.list_file is None
    assert 0 == summary.images
    assert ["0/2.bin"] == names(out)


def test_records_without_a_complete_header_are_left_out_as_problems(out: Path) -> None:
    summary = extracted(out, [b"", plain(1, 0), b"short", vector(2, [1, 2])[:30], b"\x09" * 23])

    assert {"too short for an image header": 3, "labels longer than the record": 1} == summary.problem_records
    assert {} == summary.left_out
    assert ["0/1.png"] == names(out)


def test_labels_that_are_no_finite_numbers_are_warned_of(out: Path) -> None:
    summary = extracted(out, [plain(1, 0), vector(2, [math.nan, 1]), plain(3, math.inf)])

    problem = "2 records have a label that is not a finite number; first: record 1, nan"
    assert [f"{out.parent / 'some.rec'}: {problem}"] == summary.warnings


CHANGES = {
    "vector of a single label": vector(1, [7]),
    "label field that is not the first label": vector(1, [7, 8], field=0),
    "label of -0 or an odd NaN": with_label_bits(1, 0x80000000),
}


@pytest.mark.parametrize("why", CHANGES)
def test_a_header_that_pack_writes_differently_is_reported_and_its_labels_are_kept(out: Path, why: str) -> None:
    payloads = [CHANGES[why], plain(2, 0)]
    summary = extracted(out, payloads)

    assert {why: 1} == summary.changes
    assert {} == summary.problem_records
    again = packed_again(out, pack_label=summary.vectors)
    first, second = (read_back(data) for data in (a_rec(out.parent, payloads).read_bytes(), again))
    assert first == second
    assert again != a_rec(out.parent, payloads).read_bytes()


def read_back(rec: bytes) -> list[tuple[int, list[float], bytes]]:
    """Id, labels and content of every record of the bytes of a ``.rec``."""
    records = map(decode_image_record, read_records(io.BytesIO(rec)))
    return [(header.id, np.atleast_1d(header.label).tolist(), content) for header, content in records]


@pytest.mark.parametrize("bits", [0x7FC00001, 0xFFC00000, 0x7F800001, 0x80000000])
def test_labels_with_bits_that_text_cannot_hold_are_counted(out: Path, bits: int) -> None:
    (inside,) = np.array([bits], "<u4").view("<f4")
    odd = vector(2, [1, 2, 3])[:32] + np.array([inside]).tobytes() + vector(2, [1, 2, 3])[36:]

    assert {"label of -0 or an odd NaN": 2} == extracted(out, [with_label_bits(1, bits), odd, plain(3)]).changes


def test_a_vector_of_a_single_odd_label_is_counted_once_for_each_change(out: Path) -> None:
    expected = {"vector of a single label": 1, "label of -0 or an odd NaN": 1}
    assert expected == extracted(out, [vector(1, [-0.0]), plain(2)]).changes


def test_a_vector_of_a_single_label_needs_no_pack_label(out: Path) -> None:
    assert not extracted(out, [vector(1, [7])]).vectors


def test_the_label_field_of_a_vector_of_a_single_label_is_not_counted_too(out: Path) -> None:
    assert {"vector of a single label": 1} == extracted(out, [vector(1, [7], field=0)]).changes


def test_a_selection_and_its_result_cannot_be_changed(tmp_path: Path) -> None:
    with ScannedFile(a_rec(tmp_path, ONE_GROUP)) as file:
        selected = select_records(file, ExtractOptions())
    for frozen, name in ((selected, "images"), (Selection(), "head"), (ExtractOptions(), "to")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, name, 1)


def test_shards_have_no_headers_and_so_no_changes_of_them(out: Path) -> None:
    assert {} == extracted(out, [*CHANGES.values(), plain(2)], to="tar").changes


def test_an_id2_is_a_problem_because_it_is_lost(out: Path) -> None:
    assert {"with an id2, which is not kept": 1} == extracted(out, [plain(1, 0, id2=9), plain(2, 0)]).problem_records


# Which records.


def test_head_takes_the_first_images_that_pass_the_other_filters(out: Path) -> None:
    summary = extracted(out, [*insightface(), plain(9, 1), plain(10, 1)], labels=(1,), head=2)

    assert ["1/4.png", "1/5.png"] == names(out)
    assert 7 == summary.all_images
    assert {} == summary.left_out  # only records up to the last selected one are reported


def test_head_reports_the_records_without_an_image_before_the_last_selected_one(out: Path) -> None:
    assert {"without an image": 1} == extracted(out, insightface(), head=1).left_out


def test_head_of_all_images_reports_the_records_after_the_last_one_too(out: Path) -> None:
    assert {"without an image": 3} == extracted(out, insightface(), head=5).left_out


def test_labels_are_compared_with_the_first_label_as_float32(out: Path) -> None:
    payloads = [plain(1, 0.1), vector(2, [0.1, 5]), vector(3, [5, 0.1]), plain(4, math.nan), plain(5, -0.0)]
    extracted(out, payloads, labels=(0.1, math.nan, 0))

    assert ["0.1/1.png", "0.1/2.png", "0/5.png", "nan/4.png"] == names(out)


def test_keys_are_those_of_the_index_or_ids_without_an_index(tmp_path: Path) -> None:
    payloads = [plain(10 * n, 0) for n in range(4)]
    indexed = a_rec(tmp_path, payloads, "indexed.rec", index=True)
    bare = a_rec(tmp_path, payloads, "bare.rec")

    extract(indexed, tmp_path / "a", ExtractOptions(keys=(1, 3)))
    extract(bare, tmp_path / "b", ExtractOptions(keys=(30, 0)))
    assert ["0/10.png", "0/30.png"] == names(tmp_path / "a")
    assert ["0/0.png", "0/30.png"] == names(tmp_path / "b")


def test_a_key_that_occurs_twice_selects_both_records(out: Path) -> None:
    extracted(out, [plain(5, 1), plain(6, 1), plain(5, 2)], keys=(5,))
    assert ["1/5-0.png", "2/5-2.png"] == names(out)


def test_an_index_in_another_order_than_the_file_selects_the_same_records(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, [plain(n, 0) for n in range(4)], index=True)
    index = rec.with_suffix(".idx")
    index.write_bytes(b"".join(reversed(index.read_bytes().splitlines(keepends=True))))

    extract(rec, tmp_path / "out", ExtractOptions(keys=(3,)))
    assert ["0/3.png"] == names(tmp_path / "out")


def test_min_images_counts_all_images_of_a_class_whatever_the_other_filters_select(out: Path) -> None:
    payloads = [plain(n, label) for n, label in enumerate([0, 1, 2, 0, 1, 0, -0.0])]
    extracted(out, [*payloads, vector(9, [2, 2], b"")], min_images=2, keys=(0, 1, 2))

    assert ["0/0.png", "1/1.png"] == names(out)


REFUSED = {
    "no such key": ({"keys": (3, 99)}, "no record has the key 99 (keys run from 0 to 3)"),
    "a key beyond 64 bits": ({"keys": (2**64,)}, f"no record has the key {2**64} (keys run from 0 to 3)"),
    "a key below 0": ({"keys": (-1,)}, "no record has the key -1 (keys run from 0 to 3)"),
    "no such label": ({"labels": (1, 7.5)}, "no image has the label 7.5 (run 'im2rec inspect' on it)"),
    "nothing passes both": ({"labels": (1,), "keys": (2,)}, "none of its 4 images is chosen (choose by fewer options)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_filter_that_selects_nothing_is_an_error_that_names_it(out: Path, case: str) -> None:
    options, message = REFUSED[case]

    with pytest.raises(InputError) as caught:
        extracted(out, ONE_GROUP, **options)
    assert f"{out.parent / 'some.rec'}: {message}" == str(caught.value)
    assert not out.with_name("out.im2rec-partial").exists()


def test_a_file_without_images_is_an_error(out: Path) -> None:
    message = message_of(extracted, out, [vector(0, [1, 2], b"")])
    assert f"{out.parent / 'some.rec'}: holds no images (run 'im2rec inspect' on it)" == message


def test_a_file_that_is_not_a_rec_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "some.rec").write_bytes(b"some text")
    expected = f"{tmp_path / 'some.rec'}: is not a RecordIO file: it is a file of text (make or fetch it again)"
    assert expected == message_of(extract, tmp_path / "some.rec", tmp_path / "out")


def test_an_index_of_another_file_is_refused_only_when_it_is_needed(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, ONE_GROUP)
    (tmp_path / "some.idx").write_bytes(b"0\t0\n1\t4\n2\t8\n3\t12\n4\t16\n")

    extract(rec, tmp_path / "all")
    message = message_of(extract, rec, tmp_path / "one", ExtractOptions(keys=(1,)))
    hint = "it belongs to another file; with --no-idx the keys are the ids"
    assert f"{tmp_path / 'some.idx'}: no record starts at byte 4 ({hint})" == message


def test_an_empty_index_is_refused_for_keys(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, ONE_GROUP)
    (tmp_path / "some.idx").touch()
    message = message_of(extract, rec, tmp_path / "out", ExtractOptions(keys=(1,)))
    hint = "with --no-idx the keys are the ids"
    assert f"{tmp_path / 'some.idx'}: lists no records, but the .rec has some ({hint})" == message


def test_an_index_with_an_offset_beyond_the_last_record_is_refused(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, ONE_GROUP)
    (tmp_path / "some.idx").write_bytes(b"0\t0\n1\t999996\n9\t999999996\n")
    message = message_of(extract, rec, tmp_path / "out", ExtractOptions(keys=(1,)))
    hint = "it belongs to another file; with --no-idx the keys are the ids"
    assert f"{tmp_path / 'some.idx'}: no record starts at byte 999996 ({hint})" == message


BAD_OPTIONS = {
    "head=0 must be 1 or more": {"head": 0},
    "min_images=-1 must be 1 or more": {"min_images": -1},
    "--to=zip must be folder or tar": {"to": "zip"},
    "--classes names folders, and --to tar makes none (leave it out)": {"to": "tar", "classes": "x.classes.txt"},
    "--shard-size is for --to tar (add --to tar)": {"shard_mb": 10.0},
    "--shard-size=0 must be above 0": {"to": "tar", "shard_mb": 0.0},
    "--shard-size=nan must be above 0": {"to": "tar", "shard_mb": math.nan},
    "--shard-size=inf must be above 0": {"to": "tar", "shard_mb": math.inf},
}


@pytest.mark.parametrize("message", BAD_OPTIONS)
def test_invalid_options_are_refused(message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        ExtractOptions(**BAD_OPTIONS[message])
    assert message == str(caught.value)


# Class folders.


def classes_file(folder: Path, *names: str) -> Path:
    path = folder / "some.classes.txt"
    path.write_bytes("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
    return path


def test_classes_give_the_folders(out: Path) -> None:
    classes = classes_file(out.parent, "cats", "dogs/räudige Hunde", ".", "./x//y/", "\udcff")
    extracted(out, [plain(n, n) for n in range(5)], classes=classes)

    expected = ["cats/0.png", "dogs/räudige Hunde/1.png", "2.png", "x/y/3.png", "\udcff/4.png"]
    assert sorted(expected) == names(out)
    assert a_rec(out.parent, [plain(n, n) for n in range(5)]).read_bytes() == packed_again(out)


UNFIT = {
    "/etc": "is an absolute path or names a drive",
    "\\\\server\\share": "is an absolute path or names a drive",
    "\\tmp": "is an absolute path or names a drive",
    "C:": "is an absolute path or names a drive",
    "c:cats": "is an absolute path or names a drive",
    "..": "leads out of the folder by '..'",
    "cats/../../dogs": "leads out of the folder by '..'",
    "cats\\..\\..\\dogs": "leads out of the folder by '..'",
    "cats\0": "holds a NUL",
    "a\tb": "cannot be written in a list (a TAB, a line break, or a blank at its start)",
    " cats": "cannot be written in a list (a TAB, a line break, or a blank at its start)",
    "some.lst": "is the name of a file that is written there",
    ".IM2REC-extract.json/x": "is the name of a file that is written there",
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_class_that_leads_out_of_the_folder_or_cannot_be_listed_is_refused(out: Path, name: str) -> None:
    classes = classes_file(out.parent, "fine", name)
    message = message_of(extracted, out, [plain(1, 0)], classes=classes)

    assert f"{classes}, line 2: the class {name!r} {UNFIT[name]} (name a folder inside DIR)" == message
    assert ["some.classes.txt", "some.rec"] == sorted(path.name for path in out.parent.iterdir())


@pytest.mark.parametrize(
    "name", ["a<b", "ab:c", "NUL", "com1.jpg", "LPT9", "com5", "cats.", "cats /x", "a\\b", 'say "x"', "a*", "\x07"]
)
def test_a_name_that_is_invalid_on_windows_is_refused_on_windows_only(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "" == class_folders._folder_problem(name, set())
    monkeypatch.setattr(class_folders.os, "name", "nt")
    assert "is not a valid name on Windows" == class_folders._folder_problem(name, set())
    assert ["", ""] == [class_folders._folder_problem(fine, set()) for fine in ("cats/dogs", "./console.d/x")]
    assert ["", ""] == [class_folders._folder_problem(fine, set()) for fine in ("com0", "lpt10")]


def test_the_class_names_beside_the_file_give_the_folders_unless_others_or_none_are_given(tmp_path: Path) -> None:
    found = classes_file(tmp_path, "cats", "dogs")
    given = tmp_path / "given.txt"
    given.write_text("a\nb\n")
    for out, classes, folders, file in (
        ("1", None, ["cats/0.png", "dogs/1.png"], str(found)),
        ("2", given, ["a/0.png", "b/1.png"], str(given)),
        ("3", "none", ["0/0.png", "1/1.png"], None),
    ):
        summary = extracted(tmp_path / out, [plain(0, 0), plain(1, 1)], classes=classes)
        assert folders == names(tmp_path / out)
        assert (file, []) == (summary.classes_file, summary.warnings)


UNFIT_BESIDE: dict[tuple[str, ...], str] = {
    ("cats",): ": has no line for the label 1",
    ("cats", "../dogs"): ", line 2: the class '../dogs' leads out of the folder by '..'",
    ("cats", "cats"): ", line 2: 'cats' is on two lines",
    ("some.lst", "dogs"): ", line 1: the class 'some.lst' is the name of a file that is written there",
}


@pytest.mark.parametrize("lines", UNFIT_BESIDE)
def test_class_names_beside_the_file_that_do_not_fit_are_a_warning(out: Path, lines: tuple[str, ...]) -> None:
    found = classes_file(out.parent, *lines)
    summary = extracted(out, [plain(0, 0), plain(1, 1)])

    assert ["0/0.png", "1/1.png"] == names(out)
    assert [f"{found}{UNFIT_BESIDE[lines]}; the folders are named by label"] == summary.warnings
    assert summary.classes_file is None


def test_only_the_labels_of_the_chosen_images_need_a_name(out: Path) -> None:
    classes_file(out.parent, "cats")
    summary = extracted(out, [plain(0, 0), plain(1, 1)], head=1)

    assert ["cats/0.png"] == names(out)
    assert [] == summary.warnings


def test_shards_need_no_class_names(out: Path) -> None:
    classes_file(out.parent, "cats", "cats")

    assert [] == extracted(out, [plain(0, 0)], to="tar").warnings


@pytest.mark.parametrize(("label", "text"), [(2, "2"), (-1, "-1"), (0.5, "0.5"), (math.nan, "nan"), (math.inf, "inf")])
def test_a_label_without_a_line_is_an_error_that_names_it(out: Path, label: float, text: str) -> None:
    classes = classes_file(out.parent, "cats", "dogs")
    message = message_of(extracted, out, [plain(1, 0), plain(2, label)], classes=classes)

    assert f"{classes}: has no line for the label {text} (it holds 2; line 1 is label 0)" == message


# Tar shards.


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def test_a_sample_of_a_shard_is_its_image_its_class_and_all_its_labels(out: Path) -> None:
    payloads = [plain(7, 2), vector(2**40, [0.1, 3, 1e9]), plain(7, 0.5), plain(3, 1, b"text")]
    summary = extracted(out, payloads, to="tar")

    expected = {
        "000000007-0.png": image(7),
        "000000007-0.cls": b"2",
        "1099511627776.png": image(2**40),
        "1099511627776.cls": b"0.1",
        "1099511627776.json": b'{"id": 1099511627776, "labels": [0.1, 3.0, 1000000000.0]}',
        "000000007-2.png": image(7),
        "000000007-2.cls": b"0.5",
        "000000003.bin": b"text",
        "000000003.cls": b"1",
    }
    assert list(expected.items()) == list(members(out / "some-000000.tar").items())
    assert 1 == summary.shards
    assert 3 == summary.images
    assert {"not an image": 1} == summary.problem_records
    assert summary.list_file is None
    assert ["some-000000.tar"] == names(out)
    assert {"id": 2**40, "labels": [0.1, 3.0, 1e9]} == json.loads(expected["1099511627776.json"])


def test_a_vector_of_a_single_label_has_its_labels_in_json_too(out: Path) -> None:
    extracted(out, [vector(1, [7])], to="tar")
    assert b'{"id": 1, "labels": [7.0]}' == members(out / "some-000000.tar")["000000001.json"]


def test_shards_have_the_bytes_that_tarfile_writes_without_time_and_owner(out: Path) -> None:
    extracted(out, many(10), to="tar")
    data = (out / "some-000000.tar").read_bytes()

    again = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        tarfile.open(fileobj=again, mode="w", format=tarfile.USTAR_FORMAT) as new,
    ):
        for member in old:
            assert (0, 0, 0, 0o644, "", "") == tuple(
                getattr(member, name) for name in ("mtime", "uid", "gid", "mode", "uname", "gname")
            )
            new.addfile(member, old.extractfile(member))
    assert again.getvalue() == data


def test_shards_are_bounded_and_complete_and_the_same_each_time(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, many(100))
    options = ExtractOptions(to="tar", shard_mb=0.05)
    for name in ("one", "two"):
        summary = extract(rec, tmp_path / name, options)

    shards = sorted((tmp_path / "one").glob("*.tar"))
    assert [f"some-{n:06d}.tar" for n in range(len(shards))] == [shard.name for shard in shards]
    assert len(shards) == summary.shards
    assert 3 < len(shards) < 20
    assert max(shard.stat().st_size for shard in shards) <= 50_000
    assert images_in(tmp_path / "one") == images_in(tmp_path / "two")
    assert [f"{n:09d}.cls" for n in range(100)] == [
        name for shard in shards for name in members(shard) if name.endswith(".cls")
    ]


def test_a_sample_that_fills_a_shard_to_its_last_byte_is_added_to_it(tmp_path: Path) -> None:
    content = image(0) + bytes(8192 - len(image(0)))  # two such samples and the end of a tar take 20480 bytes
    rec = a_rec(tmp_path, [plain(n, 0, content) for n in range(3)])

    for name, shard_mb, sizes in (("fits", 0.02048, [20480] * 2), ("does not fit", 0.020479, [20480] * 3)):
        extract(rec, tmp_path / name, ExtractOptions(to="tar", shard_mb=shard_mb))
        assert sizes == [path.stat().st_size for path in sorted((tmp_path / name).glob("*.tar"))]


def test_a_sample_larger_than_a_shard_gets_its_own(tmp_path: Path) -> None:
    large = image(0) + bytes(40_000)
    rec = a_rec(tmp_path, [plain(0, 0), plain(1, 0, large), plain(2, 0)])

    assert 3 == extract(rec, tmp_path / "out", ExtractOptions(to="tar", shard_mb=0.02)).shards
    assert large == members(tmp_path / "out" / "some-000001.tar")["000000001.png"]


# The output folder.


def test_an_empty_folder_is_replaced_and_may_be_named_by_a_link(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, ONE_GROUP)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    extract(rec, tmp_path / "link")

    assert 4 == len(images_in(tmp_path / "real"))
    assert (tmp_path / "link").is_symlink()


def test_an_earlier_extraction_is_replaced_only_with_force(tmp_path: Path) -> None:
    rec, out = a_rec(tmp_path, ONE_GROUP), tmp_path / "out"
    extract(rec, out)
    before = tree(out)

    refused = message_of(extract, rec, out, ExtractOptions(head=1))
    assert before == tree(out)
    extract(rec, out, ExtractOptions(head=1), force=True)
    assert f"{out}: exists already and is not empty (choose another folder, or replace it with force=True)" == refused
    assert ["0/0.png"] == names(out)
    assert ["out", "some.rec"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    rec, out = a_rec(tmp_path, ONE_GROUP), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").touch()

    for force in (False, True):
        with pytest.raises(OutputError) as caught:
            extract(rec, out, force=force)
        assert f"{out}: exists already and is not empty (choose another folder)" == str(caught.value)
    assert {"mine.txt": b""} == tree(out)


STRANGERS = {
    "the input": "some.rec",
    "another list": "mine.lst",
    "an index": "some.idx",
    "a file beside the images": "0/notes.txt",
    "an image that is not named by an id": "0/0 (copy).png",
    "a file of another kind": "0/0.txt",
    "a shard in a folder": "0/some-000000.tar",
    "a shard with a short number": "some-0.tar",
}


@pytest.mark.parametrize("case", STRANGERS)
@pytest.mark.parametrize("to", ["folder", "tar"])
def test_an_extraction_with_anything_else_in_it_is_never_replaced(tmp_path: Path, case: str, to: str) -> None:
    rec, out, options = a_rec(tmp_path, many(3)), tmp_path / "out", ExtractOptions(to=to)
    extract(rec, out, options)
    (out / "0").mkdir(exist_ok=True)
    (out / STRANGERS[case]).write_bytes(b"mine")
    before = tree(out)

    for force in (False, True):
        expected = f"{out}: holds {STRANGERS[case]}, which was not extracted, and is not replaced"
        assert f"{expected} (choose another folder)" == message_of(extract, rec, out, options, force=force)
    assert before == tree(out)
    (out / STRANGERS[case]).unlink()
    (out / ".DS_Store").touch()  # as the file manager of macOS leaves it
    extract(rec, out, options, force=True)
    assert not (out / ".DS_Store").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_an_extraction_with_a_link_in_it_is_not_replaced(tmp_path: Path) -> None:
    rec, out = a_rec(tmp_path, many(3)), tmp_path / "out"
    extract(rec, out)
    (out / "0" / "0.png").rename(tmp_path / "0.png")
    (out / "0" / "0.png").symlink_to(tmp_path / "0.png")

    expected = f"{out}: holds 0/0.png, which was not extracted, and is not replaced (choose another folder)"
    assert expected == message_of(extract, rec, out, force=True)


def test_the_one_class_of_a_flat_set_is_the_folder_itself(tmp_path: Path) -> None:
    rec, out = a_rec(tmp_path, [plain(n, 0, image(n)) for n in range(2)]), tmp_path / "out"
    extract(rec, out, ExtractOptions(classes=classes_file(tmp_path, ".")))  # as make-list --flat writes it

    assert {"0.png", "1.png", "some.lst"} == set(tree(out)) - {MARKER}
    assert 2 == extract(rec, out, force=True).images


def test_an_extraction_with_ids_that_repeat_and_contents_of_every_kind_is_replaced(tmp_path: Path) -> None:
    contents = [image(0), b"text", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"P6 1 1 255 "]
    rec, out = a_rec(tmp_path, [plain(7, 0, content) for content in contents]), tmp_path / "out"
    classes = classes_file(tmp_path, "a/b")

    extract(rec, out, ExtractOptions(classes=classes))
    assert len(contents) + 2 == len(tree(out))
    assert 7 == extract(rec, out, ExtractOptions(classes=classes), force=True).records


def test_a_path_that_cannot_become_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = a_rec(tmp_path, ONE_GROUP)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    no_mount = "is a mount point or the folder you are in, which cannot be replaced by a finished one"

    assert f"{rec}: is a file (name a folder)" == message_of(extract, rec, rec)
    missing = tmp_path / "no" / "out"
    assert f"{missing}: the folder {missing.parent} is missing (make it first)" == message_of(extract, rec, missing)
    for name in (".", "..", here, "/"):
        real = Path(name).resolve()
        assert f"{real}: {no_mount} (name a new folder in it)" == message_of(extract, rec, name)
    assert ["here", "some.rec"] == sorted(path.name for path in tmp_path.iterdir())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) == here)
    assert f"{here}: {no_mount} (name a new folder in it)" == message_of(extract, rec, here)


def test_a_dry_run_predicts_the_summary_and_writes_nothing(out: Path) -> None:
    rec = a_rec(out.parent, [*many(9), vector(20, [2, 3]), vector(21, [2, 3], b"")])
    predicted = extract(rec, out, dry_run=True)
    assert ["some.rec"] == [path.name for path in out.parent.iterdir()]

    done = extract(rec, out)
    same = (
        "records",
        "all_images",
        "images",
        "classes",
        "left_out",
        "changes",
        "problem_records",
        "vectors",
        "list_file",
    )
    assert {name: getattr(done, name) for name in same} == {name: getattr(predicted, name) for name in same}
    assert predicted.dry_run
    assert not done.dry_run
    padding = sum(-len(image(n)) % 4 for n in (*range(9), 20))
    assert done.bytes_out + 4 * 2 + padding == predicted.bytes_out  # with the two labels of the vector


# Runs that are resumed; faults/test_extract_faults.py has those that are killed.


class StopError(Exception):
    """Ends a run from its progress function."""


def test_after_each_batch_the_journal_and_the_list_on_disk_have_what_is_written(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "BATCH_RECORDS", 4)
    partial = out.with_name("out.im2rec-partial")
    states = []

    def progress(count: int, share: float) -> None:
        if share > 0.1:  # the headers are read
            done = json.loads((partial / MARKER).read_text(encoding="utf-8"))["done"]
            states.append((count, done["records"], done["list_bytes"] - (partial / "some.lst").stat().st_size))

    extract(a_rec(out.parent, many(10)), out, progress=progress)
    assert [(4, 4, 0), (8, 8, 0), (10, 10, 0)] == states


@pytest.mark.parametrize(("to", "written"), [("folder", 8), ("tar", 4)])  # tar: the records of whole shards
def test_a_run_that_fails_closes_its_file_and_the_next_one_resumes(
    out: Path, monkeypatch: pytest.MonkeyPatch, to: str, written: int
) -> None:
    monkeypatch.setattr(writers, "BATCH_RECORDS", 4)
    rec, options = a_rec(out.parent, many(20)), ExtractOptions(to=to, shard_mb=0.02 if to == "tar" else None)
    opened: list[Any] = []
    for name in ("create", "reopen"):
        real = getattr(ResumableFolder, name)
        monkeypatch.setattr(
            ResumableFolder, name, lambda *words, real=real: (opened.append(real(*words)), opened[-1])[1]
        )

    def stop(count: int, _share: float) -> None:
        if count == 8:
            raise StopError

    with pytest.raises(StopError):
        extract(rec, out, options, progress=stop)
    assert opened
    assert all(file.closed for file in opened)
    assert written == extract(rec, out, options).resumed
    extract(rec, out.with_name("whole"), options)
    assert tree(out.with_name("whole")) == tree(out)


# Memory.


def test_scanned_headers_take_21_bytes_a_record_and_reading_takes_no_more_than_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.extraction.writers.BATCH_RECORDS", 200)
    count = 20_000
    rec = a_rec(tmp_path, [plain(n, n % 7, b"\xff\xd8\xff" + bytes(n % 50)) for n in range(count)])

    with ScannedFile(rec) as file:
        assert 21 * count == sum(a.nbytes for a in (file.keys, file.offsets, file.first_labels, file.states))

        selected = select_records(file, ExtractOptions())
        assert peak_bytes(lambda: [len(batch) for batch in read_samples(file, selected, 0)]) < 1_500_000
    assert peak_bytes(lambda: select_records(ScannedFile(rec), ExtractOptions())) < 4_500_000
    for to in ("folder", "tar"):
        few, more = (
            peak_bytes(lambda: extract(rec, tmp_path / f"{to}{n}", ExtractOptions(to=to, head=n)))  # noqa: B023
            for n in (200, 800)
        )
        assert more < few + 100_000


def test_large_records_are_read_a_bounded_batch_at_a_time(tmp_path: Path) -> None:
    content = image(0) + bytes(BATCH_BYTES // 10)
    rec = a_rec(tmp_path, [plain(n, 0, content) for n in range(40)] + [plain(99, 0, bytes(2 * BATCH_BYTES))])

    with ScannedFile(rec) as file:
        sizes = [len(batch) for batch in read_samples(file, select_records(file, ExtractOptions()), 0)]
    assert [9] * 4 + [4, 1] == sizes
    assert peak_bytes(lambda: extract(rec, tmp_path / "out", ExtractOptions(head=40))) < 4 * BATCH_BYTES


def test_batches_together_are_the_selected_records_from_any_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.extraction.writers.BATCH_RECORDS", 4)
    rec = a_rec(tmp_path, many(23))

    with ScannedFile(rec) as file:
        selected = select_records(file, ExtractOptions(labels=(0, 2)))
        for start in range(len(selected.ordinals) + 1):
            read = itertools.chain.from_iterable(read_samples(file, selected, start))
            assert [n for n in range(23) if n % 3 != 1][start:] == [sample.ordinal for sample in read]


def test_the_journal_identifies_the_extraction_by_the_file_and_every_option(tmp_path: Path) -> None:
    rec = a_rec(tmp_path, many(10))
    os.utime(rec, (0, 1_000_000_000))
    classes = classes_file(tmp_path, "a", "b", "c").rename(tmp_path / "c.txt")
    identity = {
        "rec": str(rec.resolve()),
        "stem": "some",
        "bytes": rec.stat().st_size,
        "changed_at": "2001-09-09T01:46:40+00:00",
        "to": "folder",
        "head": None,
        "keys": [],
        "labels": [],
        "min_images": None,
        "classes": None,
        "shard_mb": None,
    }
    for number, (options, changed) in enumerate(
        [
            ({}, {}),
            ({"to": "tar"}, {"to": "tar", "shard_mb": 1000.0}),
            ({"to": "tar", "shard_mb": 2.5}, {"to": "tar", "shard_mb": 2.5}),
            ({"keys": (4, 2, 4), "labels": (2, 1.0), "head": 3}, {"keys": [2, 4], "labels": ["1", "2"], "head": 3}),
            ({"classes": classes}, {"classes": hashlib.sha256(b"a\nb\nc").hexdigest()}),
            ({"min_images": 2}, {"min_images": 2}),
        ]
    ):
        extract(rec, tmp_path / str(number), ExtractOptions(**options))  # type: ignore[arg-type]
        journal = json.loads((tmp_path / str(number) / MARKER).read_text(encoding="utf-8"))
        assert {**identity, **changed} == journal["extraction"]  # type: ignore[dict-item]


def test_the_summary_has_the_seconds_and_the_images_of_this_run_per_second(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 102.5])
    monkeypatch.setattr("im2rec.extraction.extract.time", SimpleNamespace(monotonic=lambda: next(times)))
    summary = extracted(out, many(10))

    assert 2.5 == summary.seconds
    assert 4.0 == summary.images_per_s
    assert 0 == summary.resumed


def test_progress_grows_to_1_and_counts_the_headers_read_and_then_the_records_written(out: Path) -> None:
    calls: list[tuple[int, float]] = []
    extract(a_rec(out.parent, many(2500)), out, ExtractOptions(to="tar"), progress=lambda *now: calls.append(now))

    shares = [share for _, share in calls]
    assert [2500, 1000, 2000, 2500] == [count for count, _ in calls[-4:]]
    assert [0.1, 0.46, 0.82, 1.0] == pytest.approx(shares[-4:])  # headers are a tenth
    assert sorted(shares) == shares


def test_the_summary_is_plain_data(out: Path) -> None:
    data = dataclasses.asdict(extracted(out, [plain(1, 0), vector(2, [1, 2], b"")]))
    assert data == json.loads(json.dumps(data))


def test_label_vectors_written_by_im2rec_py_are_extracted(out: Path) -> None:
    summary = extract(GOLDEN / "multi_label_packed.rec", out)

    assert len(golden_json("multi_label_packed")["records"]) == summary.images
    assert summary.vectors
    assert {"label field that is not the first label": 2} == summary.changes  # one has 0 for its first label


def test_labels_of_one_class_have_one_number_however_near_the_labels_of_another_are() -> None:
    tiny = np.array([1e-30, 2e-30, 0.0, -0.0, np.nan, -np.nan], np.float32)
    first, second, zero, minus_zero, nan, other_nan = class_numbers(tiny).tolist()

    assert 4 == len({first, second, zero, nan})
    assert (zero, nan) == (minus_zero, other_nan)


def test_records_missing_from_a_file_that_looks_whole_are_lost_and_keys_mean_the_others(tmp_path: Path) -> None:
    payloads = [image_payload(n, 1, image() + bytes(4 * n)) for n in range(6)]
    rec = write_rec(tmp_path / "some.rec", payloads)
    rec.write_bytes(joined(payloads[:2] + payloads[3:]))

    summary = extract(rec, tmp_path / "all")
    assert (5, 1, 1) == (summary.images, summary.lost, summary.damaged_ranges)
    assert "the file goes on here, but the index lists 1 more record" == summary.damage[0].problem
    assert 2 == summary.damage[0].records_before
    extract(rec, tmp_path / "one", ExtractOptions(keys=(4,)))
    assert payloads[4].endswith((tmp_path / "one" / "1" / "4.png").read_bytes())
    assert "the key 2: it is lost" in message_of(extract, rec, tmp_path / "none", ExtractOptions(keys=(2,)))


def test_swapped_records_are_found_by_their_keys_and_none_is_lost(tmp_path: Path) -> None:
    payloads = [image_payload(n, 1, image() + bytes([n, 0, 0, 0])) for n in range(6)]
    rec = write_rec(tmp_path / "some.rec", payloads)
    rec.write_bytes(joined([payloads[1], payloads[0], *payloads[2:]]))

    summary = extract(rec, tmp_path / "one", ExtractOptions(keys=(1,)))
    assert (0, 0) == (summary.lost, summary.damaged_ranges)
    assert payloads[1].endswith((tmp_path / "one" / "1" / "1.png").read_bytes())
