"""Counts over the chunks of a run, the warnings made of them, and the file of bad images."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from helpers import message_of

from im2rec.errors import ImageError, ListFormatError
from im2rec.format.listfile import ListEntry
from im2rec.packing.outside import OutsideCount
from im2rec.packing.params import PackParams
from im2rec.packing.report import BadImage, BadLimit, PackCounter, PackedChunk, TooManyBadError, bad_line, report_lines
from im2rec.storage.missing_files import BACKSLASHES

NO_IDS = np.empty(0, np.uint64)
BAD = BadImage(2, 7, "a.jpg", "empty", "the file is empty")


def a_counter(*, fail: bool = False, max_bad: str = "100%", **params: Any) -> PackCounter:
    outside = OutsideCount("photos")
    return PackCounter(PackParams(**params), "l.lst", fail=fail, max_bad=BadLimit.parse(max_bad), outside=outside)


def a_chunk(*ids: int, bad: list[BadImage] | None = None, **fields: Any) -> PackedChunk:
    """A chunk with a frame of 8 bytes for each of *ids*, then the *bad* images."""
    lines: list[BadImage | None] = [*([None] * len(ids)), *(bad or [])]
    return PackedChunk(frames=[(id_, bytes(8)) for id_ in ids], lines=lines, **fields)


def test_the_summary_adds_up_all_chunks() -> None:
    counter = a_counter()
    counter.add(a_chunk(1, 2, bad=[BAD], bytes_in=10, engine="pillow", jpeg_decoder="simplejpeg"), [])
    counter.add(a_chunk(3, bad=[BadImage(5, 9, "b.jpg", "missing", "no such file")], bytes_in=5), [])
    counter.notes.update({"stray bytes": 1, "no end marker": 2})
    summary = counter.summary(NO_IDS, seconds=2.0004, workers=3)

    assert 3 == summary.images
    assert {"empty": 1, "missing": 1} == summary.bad
    assert BAD == summary.first_bad
    assert ["no end marker", "stray bytes"] == list(summary.notes)  # the most frequent first
    assert 15 == summary.bytes_in
    assert 3 * 8 == summary.bytes_out
    assert 2.0 == summary.seconds
    assert 1.5 == summary.images_per_s
    assert 3 == summary.workers
    assert "pillow" == summary.engine
    assert "simplejpeg" == summary.jpeg_decoder


def test_a_summary_of_nothing_is_that_of_one_worker_and_no_dry_run() -> None:
    summary = a_counter().summary(NO_IDS, seconds=1.0)

    assert 1 == summary.workers
    assert not summary.dry_run
    assert 0 == summary.images
    assert {} == summary.bad


def test_a_run_that_took_no_time_on_the_clock_has_a_finite_speed() -> None:
    counter = a_counter()
    counter.add(a_chunk(1), [])
    assert 1e9 == counter.summary(NO_IDS, seconds=0.0).images_per_s


def test_notes_of_chunks_are_added() -> None:
    counter = a_counter()
    for _ in range(2):
        counter.add(a_chunk(1, notes={"stray bytes": 2}), [])
    assert {"stray bytes": 4} == counter.summary(NO_IDS, seconds=1.0).notes


def test_the_kernel_is_named_if_any_worker_has_used_it_and_else_by_the_last_reason() -> None:
    counter = a_counter()
    for kernel, shown in (
        ("none: first", "none: first"),
        ("none: second", "none: second"),
        ("numba 1.0", "numba 1.0"),
        ("none: third", "numba 1.0"),
    ):
        counter.add(a_chunk(1, kernel=kernel), [])
        assert shown == counter.totals.kernel


def test_a_bad_image_ends_the_run_with_fail_and_is_counted_otherwise() -> None:
    later = BadImage(3, 8, "b.jpg", "missing", "no such file")
    with pytest.raises(ImageError) as caught:
        a_counter(fail=True).add(a_chunk(1, bad=[BAD, later]), [])
    assert "l.lst, line 2: a.jpg: the file is empty (--on-error skip packs the rest)" == str(caught.value)
    assert "empty" == caught.value.reason

    with pytest.raises(TooManyBadError, match=r"^l\.lst, line 2: 1 of 2 images is bad, more than --max-bad 0 allows"):
        a_counter(max_bad="0").add(a_chunk(1, bad=[BAD]), [])
    a_counter(max_bad="1").add(a_chunk(1, bad=[BAD]), [])


def test_a_line_that_cannot_be_read_has_no_id_and_no_path() -> None:
    assert BadImage(4, None, None, "bad list line", "no label") == bad_line(ListFormatError("no label", line=4))
    assert 0 == bad_line(ListFormatError("no label")).line


def test_a_run_without_a_packed_image_is_an_error_that_counts_the_reasons() -> None:
    counter = a_counter()
    assert "l.lst: lists no images (make one with 'im2rec make-list')" == message_of(counter.check_any_packed)

    missing = [BadImage(n, n, f"{n}.jpg", "missing", "no such file") for n in (3, 4)]
    counter.add(a_chunk(bad=[BAD, *missing]), [])
    assert (
        "l.lst: none of its images could be packed: 2 missing, 1 empty; line 2: a.jpg: the file is empty"
        == message_of(counter.check_any_packed)
    )
    counter.add(a_chunk(1), [])
    counter.check_any_packed()


def test_a_part_without_a_packed_image_is_no_error() -> None:
    """Else a list whose bad images come one after the other could not be packed in parts."""
    counter = a_counter(nsplit=2)
    counter.check_any_packed()
    counter.add(a_chunk(bad=[BAD]), [])
    counter.check_any_packed()


# Warnings.


def warnings_for(entries: list[Any], **params: Any) -> list[str]:
    counter = a_counter(**params)
    ids = [entry.id for entry in entries if isinstance(entry, ListEntry)]
    counter.add(a_chunk(*ids), entries)
    return counter.warnings(np.array(ids, np.uint64))


def entry(line: int, *labels: float, id_: int | None = None) -> ListEntry:
    return ListEntry(line, line if id_ is None else id_, labels, f"{line}.jpg")


def test_dropped_labels_are_counted_unless_they_are_packed() -> None:
    entries = [entry(1, 3.0), entry(2, 3.0, 4.0), ListFormatError("bad", line=3), entry(4, 1.0, 2.0, 3.0)]

    assert ["2 images have several labels, only the first is stored; keep all with pack_label=1"] == warnings_for(
        entries
    )
    assert [] == warnings_for(entries, pack_label=True)
    assert [] == warnings_for(entries[:1])


ROUNDED = "are rounded, as float32 holds whole numbers up to 2^24"


def test_lines_with_labels_that_are_rounded_or_not_finite_are_counted_and_the_first_of_each_is_named() -> None:
    entries = [
        entry(1, 2.0**24),
        entry(2, 1.0, -(2.0**24) - 1, 2.0**24 + 1),
        entry(3, 2.0**24 + 3),
        entry(4, 1.0, -1e39),
        entry(5, math.nan, math.inf, 2.0**25 + 1),
    ]

    assert [
        "labels of 2 lines are nan, infinite or beyond float32, first -1e+39 in line 4",
        f"labels of 3 lines {ROUNDED}; first -16777217 in line 2, which becomes -16777216",
    ] == warnings_for(entries, pack_label=True)


def test_labels_that_are_not_stored_give_no_warning_of_their_values() -> None:
    (warning,) = warnings_for([entry(1, 1.0, math.nan, 2.0**24 + 1)])
    assert warning.startswith("1 image has several labels")


@pytest.mark.parametrize("label", [2.0**24, 2.0**24 + 2, -(2.0**24), 0.1, 1e9 + 0.5, 3.4028234663852886e38])
def test_integers_that_float32_holds_and_fractions_give_no_warning(label: float) -> None:
    assert [] == warnings_for([entry(1, label)])


def test_the_hint_of_a_bad_line_is_part_of_its_detail() -> None:
    error = ListFormatError("column 2 is empty", line=4, hint="fill in the value")
    assert "line 4: column 2 is empty; fill in the value" == str(bad_line(error))


def test_backslashes_are_named_when_the_first_images_are_all_missing() -> None:
    bad = [BadImage(n, n, f"sub\\{n}.jpg", "missing", f"no such file: {BACKSLASHES}") for n in range(1, 11)]
    problem = r"l.lst: the first 10 images are all missing, sub\10.jpg for one"
    assert f"{problem} ({BACKSLASHES})" == message_of(a_counter(max_bad="10%").add, a_chunk(bad=bad), [])


def test_missing_images_with_backslashes_in_their_paths_are_counted() -> None:
    def warnings_of(count: int) -> list[str]:
        counter = a_counter()
        missing = BadImage(1, 1, r"sub\a.jpg", "missing", f"no such file: {BACKSLASHES}")
        counter.add(a_chunk(1, bad=[*[missing] * count, BadImage(9, 9, "b.jpg", "missing", "no such file")]), [])
        return counter.warnings(NO_IDS)

    what = "have backslashes, which separate no folders here; write /"
    assert [] == warnings_of(0)
    assert [f"paths of 1 missing image {what}"] == warnings_of(1)
    assert [f"paths of 2 missing images {what}"] == warnings_of(2)


def test_repeated_ids_are_counted_and_the_lowest_is_named() -> None:
    def with_ids(*ids: int) -> list[str]:
        return warnings_for([entry(line, 1.0, id_=id_) for line, id_ in enumerate(ids, 1)])

    assert [] == with_ids(1, 2, 3)
    assert ["1 line repeats an id, 7 for one; by key, the last is read"] == with_ids(7, 1, 7)
    assert ["2 lines repeat an id, 7 for one; by key, the last is read"] == with_ids(7, 7, 7)
    assert ["3 lines repeat an id, 7 for one; by key, the last is read"] == with_ids(2**64 - 1, 7, 7, 7, 2**64 - 1)


# The report of bad images, and counts that a later run goes on from.


def test_the_report_has_a_json_line_for_each_bad_image() -> None:
    other = BadImage(3, None, None, "bad list line", "no label")
    lines = report_lines([BAD, other]).decode("ascii").splitlines()
    assert [vars(BAD), vars(other)] == [json.loads(line) for line in lines]
    assert b"" == report_lines([])


def test_a_counter_that_is_restored_goes_on_as_if_it_had_counted_all() -> None:
    entries = [entry(1, 3.0, 4.0), entry(2, 16777217.0), entry(3, float("nan")), ListEntry(4, 4, [1.0], "../4.jpg")]
    chunks = [(a_chunk(1, 2), entries[:2]), (a_chunk(3, bad=[BAD]), entries[2:3]), (a_chunk(4), entries[3:])]
    whole = a_counter(max_bad="60%")
    first = a_counter(max_bad="60%")
    for chunk, lines in chunks:
        whole.add(chunk, lines)
    for chunk, lines in chunks[:2]:
        first.add(chunk, lines)
    then = a_counter(max_bad="60%")
    then.restore(json.loads(json.dumps(first.state())))
    then.add(*chunks[2])
    assert json.dumps(whole.state()) == json.dumps(then.state())
    assert whole.warnings(NO_IDS) == then.warnings(NO_IDS)
    assert 3 == then.totals.resumed
