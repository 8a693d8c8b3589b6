"""Sets that are merged: labels, keys, ids, contents, the records of face sets, and the tables beside the new one."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extract_helpers import image, plain, vector, with_magics
from face_set_helpers import face_set_of
from helpers import message_of, peak_bytes, write_rec
from merge_helpers import a_set, faces, images_of, stored, table
from recovery_helpers import frame

import im2rec
from im2rec.errors import CorruptRecordError, OutputError, ParameterError
from im2rec.format.insightface import parse_property
from im2rec.rewriting import merge_run, merged_rows
from im2rec.rewriting.merge import merge
from im2rec.rewriting.merge_report import MergeOptions, MergeSummary
from im2rec.rewriting.same_images import MergedRows
from im2rec.rewriting.select import select
from im2rec.storage.digest import write_digest

GOLDEN = Path(__file__).parent.parent / "golden" / "insightface"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
pytestmark = pytest.mark.usefixtures("here")


def merged(*paths: Path, out: str = "out/o.rec", force: bool = False, **options: Any) -> MergeSummary:
    Path(out).parent.mkdir(exist_ok=True)
    return merge(paths, out, MergeOptions(**options), force=force)


O = Path("out/o.rec")  # noqa: E741
LABELS, KEYS, SAME, NAMES = (O.with_name(f"o.{what}") for what in ("labels.tsv", "keys.tsv", "same.tsv", "classes.txt"))


# Labels.


def test_the_labels_of_each_set_come_behind_those_of_the_sets_before_it() -> None:
    a = a_set(Path("a.rec"), [(5, 0.0, b"a0"), (3, 4.0, b"a1")])
    b = a_set(Path("b.rec"), [(0, 1.0, b"b0"), (1, 0.0, b"b1")])
    c = a_set(Path("c.rec"), [(9, 2.0, b"c0")])
    summary = merged(a, b, c)

    assert [(0, 0, b"a0"), (1, 4, b"a1"), (2, 6, b"b0"), (3, 5, b"b1"), (4, 9, b"c0")] == images_of(O)
    assert (5, 5, False, 0) == (summary.images, summary.classes, summary.header, summary.identities)
    assert [0, 5, 7] == [given.first_label for given in summary.sets]
    assert [["label", "source", "old_label"], ["0", "a.rec", "0"], ["4", "a.rec", "4"]] == table(LABELS)[:3]
    assert [["5", "b.rec", "0"], ["6", "b.rec", "1"], ["9", "c.rec", "2"]] == table(LABELS)[3:]
    assert [["key", "source", "old_key"], ["0", "a.rec", "5"], ["1", "a.rec", "3"], ["2", "b.rec", "0"]] == table(KEYS)[
        :4
    ]


def test_same_labels_stay_and_there_is_no_table_of_labels() -> None:
    a, b = a_set(Path("a.rec"), [(0, 3.0, b"a")]), a_set(Path("b.rec"), [(0, 3.0, b"b"), (1, 8.0, b"c")])
    merged(a, b, same_labels=True)

    assert [(0, 3, b"a"), (1, 3, b"b"), (2, 8, b"c")] == images_of(O)
    assert not LABELS.exists()


def test_classes_of_one_name_get_the_label_of_the_line_of_the_name() -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b"a0"), (1, 1.0, b"a1")], names=["dog", "cat"])
    b = a_set(Path("b.rec"), [(0, 0.0, b"b0"), (1, 2.0, b"b2")], names=["cat", "never", "hörse ☃"])
    Path("all.txt").write_text("cat\ndog\nemu\nhörse ☃\n", encoding="utf-8")
    summary = merged(a, b, classes="all.txt")

    assert [1, 0, 0, 3] == [label for _, label, _ in images_of(O)]
    assert "cat\ndog\nemu\nhörse ☃\n" == NAMES.read_text(encoding="utf-8")
    assert [None, None] == [given.first_label for given in summary.sets]
    assert [["1", "a.rec", "0"], ["0", "a.rec", "1"], ["0", "b.rec", "0"], ["3", "b.rec", "2"]] == table(LABELS)[1:]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "b.rec: has no class names beside it, as NAME.classes.txt"),
        (["dog", "emu"], "b.rec: the class 'emu' (1 image) is not in all.txt (add it to all.txt"),
        (["dog"], "b.classes.txt: has no name for the label 1, of 1 image (it has 1 line)"),
    ],
)
def test_a_class_without_a_name_among_those_of_the_file_is_named(names: list[str], problem: str) -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b"a")], names=["cat"])
    b = a_set(Path("b.rec"), [(0, 0.0, b"b"), (1, 1.0, b"c")], names=names)
    Path("all.txt").write_text("cat\ndog\n")

    assert problem in message_of(lambda: merged(a, b, classes="all.txt"))
    assert [] == list(O.parent.iterdir())


def test_class_names_of_all_sets_are_written_behind_each_other_with_lines_for_classes_without_images() -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b"a")], names=["cat", "dog"])
    b = a_set(Path("b.rec"), [(0, 1.0, b"b")], names=["emu", "fox"])
    summary = merged(a, b)

    assert "cat\ndog\nemu\nfox\n" == NAMES.read_text()
    assert [0, 3] == [label for _, label, _ in images_of(O)]
    assert [] == summary.warnings


@pytest.mark.parametrize(
    ("names", "warning"),
    [
        ([], "b.rec: has no class names beside it, so none are written"),
        (["emu"], "b.rec: has classes behind the last one that has a name, so none are written"),
        (["dog", "emu"], "1 class name is in more than one set, as 'dog': different classes in the new set"),
    ],
)
def test_class_names_that_cannot_be_written_are_warned_of(names: list[str], warning: str) -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b"a")], names=["cat", "dog"])
    b = a_set(Path("b.rec"), [(0, 1.0, b"b")], names=names)
    summary = merged(a, b)

    assert [warning] == [line[: len(warning)] for line in summary.warnings]
    assert not NAMES.exists()


def test_with_same_labels_other_names_are_refused_and_the_longest_are_written() -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b"a")], names=["cat"])
    b = a_set(Path("b.rec"), [(0, 1.0, b"b")], names=["cat", "dog"])
    merged(a, b, same_labels=True)
    assert "cat\ndog\n" == NAMES.read_text()

    Path("a.classes.txt").write_text("cow\n")
    problem = "b.classes.txt, line 1: names the label 0 'cat', and a.classes.txt names it 'cow'"
    assert problem in message_of(lambda: merged(a, b, out="p.rec", same_labels=True))


@pytest.mark.parametrize("label", [-1.0, 0.5, float("nan"), float("inf")])
def test_a_label_that_is_no_class_is_named(label: float) -> None:
    a, b = a_set(Path("a.rec"), [(0, 0.0, b"a")]), a_set(Path("b.rec"), [(0, 0.0, b"b"), (1, label, b"c")])
    message = message_of(lambda: merged(a, b))
    assert message.startswith("b.rec: 1 record has a label that is no class; first: record 1")


def test_two_header_records_are_refused_and_select_makes_one() -> None:
    a = a_set(Path("a.rec"), [(1, 0.0, b"a"), (2, [1.0, 2.0], b""), (0, [2.0, 3.0], b""), (0, [2.0, 4.0], b"")])
    b = a_set(Path("b.rec"), [(0, 0.0, b"b")])
    problem = "a.rec: has 2 header records; records 2 and 3 say [2, 3) and [2, 4) (make it anew: im2rec select writes"
    assert message_of(lambda: merged(a, b)).startswith(problem)

    Path("a").mkdir()
    merged(Path(select(a, "a/train.rec").files[0]), b, header=True)
    assert [(1, 0, b"a"), (2, 1, b"b")] == images_of(O)[:2]


def test_labels_that_float32_would_round_are_refused() -> None:
    a, b = a_set(Path("a.rec"), [(0, float(2**24), b"a")]), a_set(Path("b.rec"), [(0, 1.0, b"b")])
    assert "exact up to 16,777,216" in message_of(lambda: merged(a, b))
    merged(b, a, out="p.rec", same_labels=True)
    c = a_set(Path("c.rec"), [(0, float(2**24 + 2), b"c")])
    assert "c.rec: has the label 16777218, and" in message_of(lambda: merged(a, c, same_labels=True))


@pytest.mark.parametrize(
    ("options", "hint"),
    [({}, "--same-labels merges"), ({"same_labels": True, "header": True}, "--same-labels and --no-header merge")],
)
def test_sets_for_detection_are_merged_only_with_their_labels_as_they_are(options: dict[str, Any], hint: str) -> None:
    one, more = [2.0, 5.0, 1.0, 0.1, 0.1, 0.5, 0.5], [2.0, 5.0, 0.0, 0.1, 0.1, 0.5, 0.5, 3.0, 0.2, 0.2, 0.3, 0.3]
    a = a_set(Path("a.rec"), [(0, one, b"a0"), (1, more, b"a1")])
    b = a_set(Path("b.rec"), [(0, more, b"b0"), (1, one, b"b1")])
    message = message_of(merged, a, b, **options)
    assert "a.rec: is a set for detection" in message
    assert hint in message
    assert not O.exists()

    merged(a, b, same_labels=True)
    whole = [np.float32(labels).tolist() for labels in (one, more, more, one)]
    assert whole == [record.labels for record in stored(O)]


def test_a_set_of_which_some_vectors_look_like_detection_is_one_of_classes() -> None:
    a = a_set(Path("a.rec"), [(0, [2.0, 5.0, 1.0, 0.1, 0.1, 0.5, 0.5], b"a0"), (1, [0.0, 1.0], b"a1")])
    merged(a, a_set(Path("b.rec"), [(0, 1.0, b"b")]))
    assert [2, 0, 4] == [record.labels[0] for record in stored(O)]


def test_the_first_number_of_a_vector_is_the_class_and_the_others_stay() -> None:
    a = a_set(Path("a.rec"), [(0, [2.0, 1.0, 0.5], b"a")], names=[])
    b = a_set(Path("b.rec"), [(0, [1.0, 9.0], b"b"), (1, 0.0, b"c")])
    summary = merged(a, b)

    assert [[2, 1, 0.5], [4, 9], [3]] == [record.labels for record in stored(O)]
    assert "the sets have single labels and vectors of 2 and vectors of 3: readers that stack" in summary.warnings[0]
    assert "the record of key 0 has a label vector, so some published readers" in summary.warnings[1]


# Contents, and records that are odd.


def test_contents_with_magics_are_byte_for_byte_the_same() -> None:
    payloads = [plain(1, 1, with_magics()), vector(7, [1, 2], with_magics(1)), plain(0xCED7230A, 0, b"id is a magic")]
    a, b = write_rec(Path("a.rec"), payloads), write_rec(Path("b.rec"), payloads[::-1], index=False)
    merged(a, b)

    contents = [record.content for record in stored(a)]
    assert contents + contents[::-1] == [record.content for record in stored(O)]
    assert [0, 1, 2, 3, 4, 5] == [record.id for record in stored(O)]
    assert [1, 1, 0, 2, 3, 3] == [record.labels[0] for record in stored(O)]


def test_records_without_an_image_are_left_out_and_counted() -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b""), (1, 1.0, b"a"), (2, [1, 2, 3], b""), (3, 0.0, b"b")])
    summary = merged(a, a_set(Path("b.rec"), [(0, 0.0, b"c")]))

    assert [(0, 1, b"a"), (1, 0, b"b"), (2, 2, b"c")] == images_of(O)
    assert [2, 0] == [given.without_image for given in summary.sets]
    assert [["0", "a.rec", "1"], ["1", "a.rec", "3"], ["2", "b.rec", "0"]] == table(KEYS)[1:]


def test_records_that_an_index_leaves_out_are_told_once_in_the_warnings(caplog: pytest.LogCaptureFixture) -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b"a0"), (1, 1.0, b"a1"), (2, 1.0, b"a2")])
    index = a.with_suffix(".idx")
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[::2]))
    summary = merged(a, a_set(Path("b.rec"), [(0, 1.0, b"b")]))
    assert 3 == summary.images
    assert 1 == len(summary.warnings)
    assert "a.idx: lists only some of the records of a.rec" in summary.warnings[0]
    assert "with an index made anew by 'im2rec index'" in summary.warnings[0]
    assert not caplog.records


def test_a_set_of_several_thousand_records_is_merged_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_run, "_BATCH_ROWS", 100)
    drawn = random.Random(5)
    images = [[(n, float(n % 7), b"%d of %d" % (n, s) + drawn.randbytes(n % 90)) for n in range(3000)] for s in (0, 1)]
    merged(*(a_set(Path(f"{s}.rec"), images[s]) for s in (0, 1)), same_labels=True, header=True)

    expected = sorted((item for part in images for item in part), key=lambda item: item[1])
    assert [content for *_, content in expected] == [content for *_, content in images_of(O)]
    assert [label for _, label, _ in expected] == [label for _, label, _ in images_of(O)]
    lines = [(source, int(key)) for _, source, key in table(KEYS)[1:]]
    contents = {f"{s}.rec": {key: content for key, _, content in images[s]} for s in (0, 1)}
    assert [contents[source][key] for source, key in lines] == [content for *_, content in images_of(O)]


# Face sets.


def published_images(path: Path) -> list[tuple[int, float, bytes]]:
    """Keys, labels and contents that the rule of arcface_torch makes of a set."""
    by_key = {record.key: record for record in stored(path)}
    first = by_key[0]
    keys = range(1, int(first.labels[0])) if len(first.labels) > 1 else sorted(by_key)
    return [(key, by_key[key].labels[0], by_key[key].content) for key in keys]


def identities(path: Path) -> list[set[float]]:
    """The labels of the images of each identity record, as FaceImageIter reads the set."""
    by_key = {record.key: record for record in stored(path)}
    ranges = [by_key[key].labels for key in range(*map(int, by_key[0].labels))]
    return [{by_key[key].labels[0] for key in range(int(first), int(stop))} for first, stop in ranges]


@pytest.mark.parametrize("one", sorted(EXPECTED))
@pytest.mark.parametrize("other", ["face2rec2", "scalar", "no_header"])
def test_golden_sets_of_every_kind_are_merged_to_sets_that_published_readers_take(one: str, other: str) -> None:
    paths = []
    for name, folder in ((one, "a"), (other, "b")):
        shutil.copytree(GOLDEN / name, folder)
        paths.append(Path(folder, "train.rec"))
    contents = []
    for path in paths:
        with im2rec.open(path) as rec:
            contents += [rec[ordinal].content for ordinal in face_set_of(rec).images.tolist()]
    summary = merged(*paths, header=True)

    images = images_of(O)
    assert images == published_images(O)
    assert sorted(contents) == sorted(content for *_, content in images)
    assert list(range(1, 1 + len(contents))) == [key for key, *_ in images]
    assert [{label} for label in sorted({label for _, label, _ in images})] == identities(O)
    assert (summary.images, summary.identities) == (len(contents), summary.classes)
    assert parse_property(Path("out/property").read_bytes()) == (summary.classes, 16, 16, None)
    assert summary.bytes_out == O.stat().st_size


def test_header_and_identities_are_made_anew_in_the_order_of_the_sets() -> None:
    a, b = faces(Path("a/train.rec"), [0, 0, 1], b"a"), faces(Path("b/train.rec"), [1, 0, 0, 2], b"b")
    summary = merged(a, b)

    assert [1, 2, 3, 4, 5, 6, 7] == [key for key, *_ in images_of(O)]
    assert [0, 0, 1, 3, 2, 2, 4] == [label for _, label, _ in images_of(O)]
    tail = [(record.key, record.labels) for record in stored(O)[7:]]
    assert [(0, [8, 13]), (8, [1, 3]), (9, [3, 4]), (10, [4, 5]), (11, [5, 7]), (12, [7, 8])] == tail
    assert (summary.is_sorted, summary.identities) == (False, 5)


def test_images_of_a_class_in_two_sets_are_put_together() -> None:
    a, b = faces(Path("a/train.rec"), [0, 0, 2], b"a"), faces(Path("b/train.rec"), [0, 1, 2], b"b")
    summary = merged(a, b, same_labels=True)

    assert [b"a 1", b"a 2", b"b 1", b"b 2", b"a 3", b"b 3"] == [content for *_, content in images_of(O)]
    assert [{0}, {1}, {2}] == identities(O)
    assert summary.is_sorted


def test_a_header_can_be_asked_for_and_left_out() -> None:
    a, b = (
        faces(Path("a/train.rec"), [0, 1], b"a"),
        a_set(Path("b.rec"), [(5, 1.0, b"b"), (6, 0.0, b"c"), (7, 1.0, b"d")]),
    )
    assert merged(a, b).header
    assert not merged(a, b, header=False, force=True).header
    assert [(0, 0), (1, 1), (2, 3), (3, 2), (4, 3)] == [(key, label) for key, label, _ in images_of(O)]
    assert 5 == len(stored(O))
    assert merged(b, a_set(Path("c.rec"), [(0, 0.0, b"e")]), header=True, force=True).header
    assert [{0}, {1}, {2}] == identities(O)


def test_keys_that_the_labels_of_a_header_cannot_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = faces(Path("a/train.rec"), [0, 1], b"a"), faces(Path("b/train.rec"), [0, 0, 1], b"b")
    monkeypatch.setattr("im2rec.format.insightface.EXACT_INTEGERS", 9)
    assert "--no-header" in message_of(lambda: merged(a, b))
    assert [] == list(O.parent.iterdir())
    merged(a, b, header=False)
    with pytest.raises(ParameterError):
        merge([a, b], "p.rec", MergeOptions(drop_same=True), dry_run=True)
    monkeypatch.setattr("im2rec.format.insightface.EXACT_INTEGERS", 10)
    merged(a, b, force=True)


def test_sizes_of_images_that_differ_are_warned_of_and_the_first_is_taken() -> None:
    a = faces(Path("a/train.rec"), [0], b"a", size="1,112,96")
    b = faces(Path("b/train.rec"), [0, 1], b"b", size="2,112,112\n")
    c = faces(Path("c/train.rec"), [0], b"c", size="broken")
    summary = merged(a, b, c)

    assert b"4,112,96\n" == Path("out/property").read_bytes()
    assert "c/property, line 1: expected classes,height,width, found 'broken'" in summary.warnings[0]
    assert "b/property: images of 112 x 112, and a/property: 112 x 96, which the new one says" == summary.warnings[1]


def test_without_property_files_the_size_is_that_of_the_first_image() -> None:
    a = a_set(Path("a/train.rec"), [(1, 0.0, image())], header=[1])
    merged(a, faces(Path("b/train.rec"), [0], b"b"))
    assert b"2,6,5\n" == Path("out/property").read_bytes()


def test_a_first_image_without_a_size_is_warned_of() -> None:
    summary = merged(faces(Path("a/train.rec"), [0], b"a"), faces(Path("b/train.rec"), [0], b"b"))
    assert summary.warnings[0].startswith("a/train.rec: record 0: ")
    assert summary.warnings[0].endswith("; no property file is written")
    assert not Path("out/property").exists()


@pytest.mark.parametrize("force", [False, True])
def test_the_property_file_of_an_input_is_never_replaced(force: bool) -> None:
    a = faces(Path("out/train.rec"), [0], b"a", size="1,112,112")
    summary = merged(a, faces(Path("b/train.rec"), [0], b"b"), force=force)

    assert b"1,112,112" == Path("out/property").read_bytes()
    assert "out/property: is that of out/train.rec, and stays" in summary.warnings[0]


# The same image in two places.


def same_sets() -> tuple[Path, Path]:
    """Two sets: image 2 of b is image 1 of a, image 3 of b repeats image 1 of b, and image 4 of a repeats image 3."""
    a = a_set(Path("a.rec"), [(1, 0.0, b"one"), (2, 0.0, b"two"), (3, 1.0, b"six"), (4, 0.0, b"six")])
    b = a_set(Path("b.rec"), [(1, 0.0, b"ten"), (2, 0.0, b"one"), (3, 0.0, b"ten"), (4, 1.0, b"new")])
    return a, b


def test_a_property_file_that_stays_beside_a_set_without_one_is_told() -> None:
    a, b = a_set(Path("a/a.rec"), [(0, 0.0, b"a")]), a_set(Path("b/b.rec"), [(0, 0.0, b"b")])
    O.parent.mkdir()
    O.with_name("property").write_text("5,112,112\n")
    (warning,) = merged(a, b).warnings
    assert "out/property: stays, and says nothing of out/o.rec" in warning


def test_the_same_image_in_two_places_is_reported() -> None:
    summary = merged(*same_sets())

    assert (8, 3, 2, 2, 0) == (
        *(summary.images, summary.same, summary.same_other_class, summary.same_within, summary.dropped),
    )
    assert [
        ["key", "label", "source", "old_key", "first_key", "first_label", "first_source", "first_old_key"],
        ["3", "0", "a.rec", "4", "2", "1", "a.rec", "3"],
        ["5", "2", "b.rec", "2", "0", "0", "a.rec", "1"],
        ["6", "2", "b.rec", "3", "4", "2", "b.rec", "1"],
    ] == table(SAME)
    assert [3, 5, 6] == [found.key for found in summary.same_images]
    assert 8 == len(images_of(O))


def test_drop_same_keeps_the_first() -> None:
    summary = merged(*same_sets(), drop_same=True)

    assert [(0, 0, b"one"), (1, 0, b"two"), (2, 1, b"six"), (3, 2, b"ten"), (4, 3, b"new")] == images_of(O)
    assert (5, 3, 3) == (summary.images, summary.same, summary.dropped)
    assert [None, None, None] == [found.key for found in summary.same_images]
    assert [["", "2", "b.rec", "3", "3", "2", "b.rec", "1"]] == table(SAME)[3:]
    assert ["1", "2", "3", "1", "4"] == [line[2] for line in table(KEYS)[1:]]


def test_nothing_is_looked_for_with_find_same_false(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_run, "hash_contents", lambda *_: pytest.fail("is called"))
    assert merged(*same_sets(), find_same=False).same is None
    assert not SAME.exists()


def test_contents_of_one_hash_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_run, "hash_contents", lambda _, ordinals: np.zeros(len(ordinals), np.uint64))
    assert 3 == merged(*same_sets()).same


def test_classes_whose_images_were_all_dropped_have_no_identity_record_and_are_told() -> None:
    a, b = faces(Path("a/train.rec"), [0, 1], b"x"), faces(Path("b/train.rec"), [0, 0, 1], b"x")
    summary = merged(a, b, drop_same=True)

    assert [(1, 0), (2, 1), (3, 3)] == [(key, label) for key, label, _ in images_of(O)]
    assert [{0}, {1}, {3}] == identities(O)
    assert ["1 class has no images left, as all were dropped (im2rec select --relabel numbers the others anew)"] == [
        line for line in summary.warnings if "left" in line
    ]


@pytest.mark.parametrize("grouped", [False, True])
def test_dropping_gives_what_an_oracle_gives(grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_run, "_BATCH_ROWS", 9)
    drawn = random.Random(11)
    sets = [[(n, float(drawn.randrange(5)), b"%d" % drawn.randrange(60)) for n in range(50)] for _ in range(3)]
    paths = [a_set(Path(f"{number}.rec"), images) for number, images in enumerate(sets)]
    merged(*paths, drop_same=True, same_labels=True, header=grouped)

    rows = [image for images in sets for image in images]
    rows = sorted(rows, key=lambda image: image[1]) if grouped else rows
    first = {content: (label, content) for _, label, content in reversed(rows)}
    kept = [(label, content) for label, content in dict.fromkeys((first[c] for *_, c in rows))]
    assert kept == [(label, content) for _, label, content in images_of(O)]


# Damage.


def damaged_set(path: Path) -> Path:
    """A set of six images; the head of the third is damaged."""
    a_set(path, [(n, float(n), b"image %d" % n * 9) for n in range(6)])
    with im2rec.open(path) as rec:
        at = int(rec.offsets[2])
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff\xff\xff\xff")
    return path


@pytest.mark.parametrize("index", [True, False])
def test_of_a_damaged_set_all_whole_records_are_merged(index: bool) -> None:
    a, b = a_set(Path("a.rec"), [(0, 0.0, b"a")]), damaged_set(Path("b.rec"))
    if not index:
        b.with_suffix(".idx").unlink()
    summary = merged(a, b)

    assert [0, 1, 2, 4, 5, 6] == [label for _, label, _ in images_of(O)]
    assert [0, 1] == [given.damaged_ranges for given in summary.sets]
    assert ["0", "0", "1", "3", "4", "5"] == [line[2] for line in table(KEYS)[1:]]


def test_of_a_set_that_is_cut_all_whole_records_are_merged() -> None:
    """By far the most of its records are lost behind its end, and the index lists them."""
    a = a_set(Path("a.rec"), [(key, 0.0, b"image %4d" % key * 600) for key in range(200)])
    b = a_set(Path("b.rec"), [(0, 0.0, b"b")])
    with a.open("r+b") as file:
        file.truncate(20_000)
    with im2rec.open(a, damaged="skip") as rec:
        assert 200 == len(rec.labels)
        assert np.isnan(rec.labels[199])
    summary = merged(a, b)
    assert 1 == summary.sets[0].damaged_ranges
    assert [(0, 0), (1, 0), (2, 0), (3, 1)] == [(key, label) for key, label, _ in images_of(O)]


def test_damage_that_only_the_copy_meets_makes_it_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = a_set(Path("a.rec"), [(0, 0.0, b"a")]), a_set(Path("b.rec"), [(n, float(n), b"i" * 90) for n in range(6)])

    def damage(*arguments: Any) -> Any:
        with im2rec.open(b) as rec, b.open("r+b") as file:
            file.seek(int(rec.offsets[2]))
            file.write(b"\xff\xff\xff\xff")
        return real(*arguments)

    real = merged_rows.RowWriter.write
    monkeypatch.setattr(merged_rows.RowWriter, "write", damage)
    assert 6 == merged(a, b, find_same=False).images


def test_a_set_without_whole_records_is_an_error() -> None:
    a = a_set(Path("a.rec"), [(0, 0.0, b"a")])
    Path("b.rec").write_bytes(frame(0)[:40] + bytes(40))
    with pytest.raises(CorruptRecordError, match=r"b.rec, byte \d+: holds no whole records"):
        merged(a, Path("b.rec"))


# Files.


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (["a.rec"], "a merge needs two or more sets, and the name of the new one"),
        (["a.rec", "b.rec", "./a.rec"], "a.rec: is named twice"),
        (["a.rec", "gone.rec"], "gone.rec: cannot be read: no such file or directory"),
        (["a.rec", "out"], "out: is a folder"),
        (["a.rec", "text.rec"], "text.rec: "),
    ],
)
def test_inputs_that_cannot_be_merged_are_named(paths: list[str], problem: str) -> None:
    Path("out").mkdir()
    Path("text.rec").write_text("text\n" * 9)
    for name in ("a.rec", "b.rec"):
        a_set(Path(name), [(0, 0.0, name.encode())])
    message = message_of(lambda: merged(*map(Path, paths)))
    assert message.startswith(problem)
    assert [] == list(O.parent.iterdir())


def test_sets_without_images_give_none() -> None:
    a, b = a_set(Path("a.rec"), [(0, 1.0, b"")]), a_set(Path("b.rec"), [(0, 1.0, b"")])
    assert "a.rec: none of the sets holds an image" in message_of(lambda: merged(a, b))
    assert 1 == merged(a, a_set(Path("c.rec"), [(0, 1.0, b"c")])).images


@pytest.mark.parametrize("out", ["a.rec", "a.idx", "a", "./b.rec"])
def test_an_output_that_belongs_to_an_input_is_refused(out: str) -> None:
    a, b = a_set(Path("a.rec"), [(0, 0.0, b"a")]), a_set(Path("b.rec"), [(0, 0.0, b"b")])
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    with pytest.raises(ParameterError):
        merge([a, b], out, force=True)
    assert before == {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "name", ["o.rec", "o.idx", "o.rec.digest", "o.labels.tsv", "o.keys.tsv", "o.same.tsv", "o.classes.txt"]
)
def test_a_file_that_exists_is_refused_and_replaced_or_removed_with_force(name: str) -> None:
    a, b = a_set(Path("a.rec"), [(0, 0.0, b"a")]), a_set(Path("b.rec"), [(0, 0.0, b"b")])
    O.parent.mkdir()
    (O.parent / name).write_text("old")
    for dry_run in (False, True):
        with pytest.raises(OutputError, match=f"{name}: exists already"):
            merge([a, b], O, dry_run=dry_run)
    assert [name] == [path.name for path in O.parent.iterdir()]
    summary = merged(a, b, force=True)
    assert ["o.idx", "o.keys.tsv", "o.labels.tsv", "o.rec"] == sorted(path.name for path in O.parent.iterdir())
    assert sorted(map(Path, summary.files)) == sorted(O.parent.iterdir())


def test_a_dry_run_says_what_would_be_and_writes_nothing() -> None:
    a = faces(Path("a/train.rec"), [0, 0, 1], b"x", size="2,16,16", names=["one", "two"])
    b = faces(Path("b/train.rec"), [0, 0, 1], b"x", size="2,16,16", names=["six", "ten"])
    O.parent.mkdir()
    for options in (MergeOptions(), MergeOptions(drop_same=True), MergeOptions(same_labels=False, header=False)):
        dry = merge([a, b], O, options, dry_run=True, digest=True)
        assert [] == list(O.parent.iterdir())
        done = merge([a, b], O, options, digest=True)
        assert sorted(dry.files) == sorted(done.files)
        for summary in (dry, done):
            summary.seconds, summary.files, summary.dry_run = 0, [], False
        assert dry == done
        assert done.bytes_out == O.stat().st_size
        shutil.rmtree(O.parent)
        O.parent.mkdir()


def test_the_digest_is_that_of_the_file() -> None:
    a, b = a_set(Path("a.rec"), [(0, 0.0, b"a")]), a_set(Path("b.rec"), [(0, 0.0, b"b")])
    merge([a, b], "o.rec", digest=True)
    written = Path("o.rec.digest").read_bytes()
    write_digest("o.rec", force=True)
    assert written == Path("o.rec.digest").read_bytes()


def test_paths_with_blanks_tabs_and_letters_of_all_kinds_are_in_the_tables() -> None:
    a = a_set(Path("my ünïcode 100%s.rec"), [(0, 0.0, b"a")])
    b = a_set(Path("b\tc.rec"), [(7, 0.0, b"a")])
    merged(a, b)
    assert [["0", "my ünïcode 100%s.rec", "0"], ["1", "b\\tc.rec", "7"]] == table(KEYS)[1:]
    assert ["1", "1", "b\\tc.rec", "7", "0", "0", "my ünïcode 100%s.rec", "0"] == table(SAME)[1]


def test_progress_ends_with_all_images_and_all_work() -> None:
    a, b = same_sets()
    seen: list[tuple[int, float]] = []
    merge([a, b], "o.rec", MergeOptions(drop_same=True), progress=lambda count, share: seen.append((count, share)))
    assert (5, 1.0) == seen[-1]


def test_options_that_contradict_each_other_are_refused() -> None:
    for options in ({"classes": "c", "same_labels": True}, {"drop_same": True, "find_same": False}):
        with pytest.raises(ParameterError, match="contradict"):
            MergeOptions(**options)


# Memory.


def grown(make: Callable[[int], Any]) -> float:
    """Bytes of memory that each further record takes, of sets with 2,000 and 12,000 records."""
    few, many = 2_000, 12_000
    for count in (few, many):
        for number in (0, 1):
            rows = np.zeros(count, np.dtype("<u4, <u4, <u4, <f4, <u8, <u8, <u8"))
            rows["f0"], rows["f1"], rows["f3"], rows["f6"] = 0xCED7230A, 32, np.arange(count) // 50, np.arange(count)
            rows["f6"] = rows["f6"] * 2 + number + 2**60
            Path(f"{count} {number}.rec").write_bytes(rows.tobytes())
            lines = "".join(f"{key}\t{40 * key}\n" for key in range(count))
            Path(f"{count} {number}.idx").write_text(lines)
            with im2rec.open(f"{count} {number}.rec") as rec:  # the cache has offsets and labels then
                assert count == len(rec.labels)
    make(few)  # what is imported when it is needed first
    peaks = [peak_bytes(lambda count=count: make(count)) for count in (few, many)]  # type: ignore[misc]
    return (peaks[1] - peaks[0]) / (2 * (many - few))


@pytest.mark.parametrize("header", [True, False])
def test_the_first_keys_of_runs_are_kept_for_identity_records_only(header: bool) -> None:
    counts = merged_rows.RowCounts(2, 1, header=header)
    numbers = np.arange(4)
    rows = MergedRows(0, numbers * 0, numbers, np.array([0, 1, 0, 1]), numbers)
    counts.add(rows, rows.sizes)
    assert ([1, 2, 3, 4] if header else []) == list(counts.first_keys)
    assert [2, 2] == counts.labels.tolist()


@pytest.mark.parametrize("options", [{}, {"same_labels": True, "header": True}])
def test_a_record_takes_at_most_16_bytes_of_memory(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_run, "_BATCH_ROWS", 200)
    monkeypatch.setattr(merge_run, "available_cpus", lambda: 1)  # no batches ahead, whose number is that of the moment
    for module in ("sources", "merge_order"):
        monkeypatch.setattr(f"im2rec.rewriting.{module}.CHUNK", 200)

    def work(count: int) -> None:
        merged(*(Path(f"{count} {number}.rec") for number in (0, 1)), force=True, **options)

    bytes_a_record = grown(work)
    assert 4 < bytes_a_record < 16
