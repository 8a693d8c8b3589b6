"""The same damaged files through every command: what is whole is given, what is lost is counted, the exit code is 5."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from extract_helpers import images_in, tree
from helpers import bounds, image_payload, index_text, joined
from image_helpers import Ran, encoded, im2rec, texture

from im2rec.extraction import extract as extraction
from im2rec.extraction import writers
from im2rec.iterators.image_record import ImageRecordIter

pytestmark = pytest.mark.usefixtures("here", "ticking")

COUNT = 20
IDS = list(range(100, 100 + COUNT))
IMAGES = [encoded(texture(seed=number)) for number in range(COUNT)]
PAYLOADS = [image_payload(id_, id_ % 3, image) for id_, image in zip(IDS, IMAGES, strict=True)]
WHOLE, START = joined(PAYLOADS), bounds(PAYLOADS)
SHAPE = ("--data-shape", "3,24,24", "--batch-size", "4")


def overwritten(at: int, data: bytes) -> bytes:
    return WHOLE[:at] + data + WHOLE[at + len(data) :]


def with_length(record: int, length: int) -> bytes:
    return overwritten(START[record] + 4, struct.pack("<I", length))


# Bytes of a damaged file, and the ids that are lost in it.
DAMAGE: dict[str, tuple[bytes, Sequence[int]]] = {
    "a flipped bit in a head": (overwritten(START[7], bytes([WHOLE[START[7]] ^ 1])), [107]),
    "a length that covers two more": (with_length(7, START[10] - START[7] - 8), [107]),
    "a length that shrank": (with_length(7, len(PAYLOADS[7]) - 401), [107]),
    "bytes that were inserted": (WHOLE[: START[7] + 90] + b"abc" + WHOLE[START[7] + 90 :], [107]),
    "bytes that were removed": (WHOLE[: START[7] + 90] + WHOLE[START[8] + 95 :], [107, 108]),
    "a hole of zeros": (overwritten(START[7], bytes(START[9] + 50 - START[7])), [107, 108, 109]),
    "a file that was cut": (WHOLE[: START[18] + 60], [118, 119]),
    "no first head": (overwritten(0, b"damaged!"), [100]),
    "no last head": (overwritten(START[19], b"damaged!"), [119]),
    "every second head": (
        b"".join(b"bad!" * (n % 2) + WHOLE[START[n] + 4 * (n % 2) : START[n + 1]] for n in range(COUNT)),
        IDS[1::2],
    ),
}


@pytest.fixture(params=DAMAGE)
def damage(request: pytest.FixtureRequest) -> tuple[bytes, Sequence[int]]:
    return DAMAGE[request.param]


@pytest.fixture(params=[True, False], ids=["index", "no index"])
def has_index(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def write(data: bytes, *, index: bool = True) -> None:
    """Write ``a.rec`` with these bytes, and if *index* the index of the whole file."""
    Path("a.rec").write_bytes(data)
    if index:
        Path("a.idx").write_bytes(index_text(START[:-1], IDS))


def left(lost: Sequence[int]) -> list[int]:
    return [id_ for id_ in IDS if id_ not in lost]


def as_json(done: Ran) -> Any:
    return json.loads(done.out)


def test_inspect_counts_what_is_whole_and_lost_in_its_first_lines(
    damage: tuple[bytes, Sequence[int]], has_index: bool
) -> None:
    write(damage[0], index=has_index)
    done = im2rec("inspect", "a.rec")
    count, lost = COUNT - len(damage[1]), len(damage[1])

    assert (5, "") == (done.code, done.err)
    title, first, *rest = done.out.splitlines()
    assert title.startswith(f"a.rec: {count} records, {count} images, ")
    missing = as_json(im2rec("inspect", "a.rec", "--json"))["missing_ids"]
    known = f"{lost} lost of 20 in the index" if has_index else "lost: unknown without an index"
    if missing is not None:
        ids = damage[1]
        assert {"count": lost, "lowest": ids[0], "highest": ids[-1]} == missing
        known = f"lost: probably {lost}, as " + (f"id {ids[0]} is" if lost == 1 else f"ids {ids[0]} to {ids[-1]} are")
        first = " ".join([first, *(rest.pop(0).strip() for _ in range("missing" not in first))]).removesuffix(
            " missing"
        )
    assert first == f"  damaged   {count} whole records, 0 doubtful, {known}"
    assert " damaged range" in rest[0]
    assert rest[0].endswith(" in all:")
    assert "next: im2rec recover a.rec a_recovered.rec" == rest[-1]
    assert len(done.out.splitlines()) <= 24
    assert max(map(len, done.out.splitlines())) <= 80
    found = as_json(im2rec("inspect", "a.rec", "--json"))
    assert (count, 0, lost if has_index else None) == (found["records"], found["doubtful"], found["lost"])
    assert len(found["damage"]) == found["damaged_ranges"]
    assert found["damaged_bytes"] == sum(bad["end"] - bad["start"] for bad in found["damage"])


TOLD = {"a flipped bit in a head", "a length that covers two more", "a hole of zeros", "bytes that were inserted"}


@pytest.mark.parametrize("case", DAMAGE)
def test_inspect_without_an_index_says_which_ids_are_missing_where_all_others_count_up(case: str) -> None:
    data, lost = DAMAGE[case]
    write(data, index=False)
    missing = as_json(im2rec("inspect", "a.rec", "--json"))["missing_ids"]

    assert missing is not None or case not in TOLD
    assert missing is None or (len(lost), lost[0], lost[-1]) == tuple(missing.values())


def test_the_first_records_are_those_that_the_summary_counts(
    damage: tuple[bytes, Sequence[int]], has_index: bool
) -> None:
    write(damage[0], index=has_index)
    whole = left(damage[1])
    done = im2rec("inspect", "a.rec", "--head", len(whole) + 1, "--json")

    assert 5 == done.code
    assert whole == [view["id"] for view in as_json(done)["shown"]]
    assert list(range(len(whole))) == [view["record"] for view in as_json(done)["shown"]]
    assert "warning: a.rec: damaged: bytes " in done.err
    assert len(done.err.splitlines()) <= 4


def test_records_are_shown_by_key_wherever_they_are_now(damage: tuple[bytes, Sequence[int]], has_index: bool) -> None:
    data, lost = damage
    write(data, index=has_index)
    words = [word for id_ in left(lost) for word in ("--key", id_)]
    done = im2rec("inspect", "a.rec", *words, "--key", lost[0], "--json")

    assert 5 == done.code
    assert left(lost) == [view["id"] for view in as_json(done)["shown"]]
    assert f"warning: key {lost[0]}: a.rec" in done.err
    alone = im2rec("inspect", "a.rec", "--key", lost[0])
    assert (5, "", 1) == (alone.code, alone.out, alone.err.count("\n"))


def test_verify_and_sheet_take_the_same_records(damage: tuple[bytes, Sequence[int]], has_index: bool) -> None:
    write(damage[0], index=has_index)
    for words in ([], ["--no-idx"]):
        done = im2rec("inspect", "a.rec", *words, "--verify", "--workers", 1, "--sheet", "s.png", "--force", "--json")

        assert 5 == done.code
        found = as_json(done)
        assert found["records"] == found["verification"]["decoded"] == COUNT - len(damage[1])
        assert [] == found["verification"]["failures"]


def test_extract_writes_every_whole_record(damage: tuple[bytes, Sequence[int]], has_index: bool) -> None:
    data, lost = damage
    write(data, index=has_index)
    done = im2rec("extract", "a.rec", "out")

    assert (5, "") == (done.code, done.err)
    expected = {f"{id_ % 3}/{id_}.jpg": IMAGES[id_ - 100] for id_ in left(lost)}
    assert expected == images_in(Path("out"))
    lines = done.out.splitlines()
    assert f"extracted {len(expected)} images of a.rec" == lines[0]
    known = f"{len(lost)} record{'s' * (len(lost) > 1)} lost"
    assert lines[1].endswith(known if has_index else "how many records are lost is unknown without an index")
    assert "           bytes " in lines[3]
    assert "next: im2rec recover a.rec a_recovered.rec" == lines[-1]
    assert len(lines) <= 13


def test_extract_takes_the_keys_of_the_index_wherever_the_records_are_now(
    damage: tuple[bytes, Sequence[int]], has_index: bool
) -> None:
    data, lost = damage
    write(data, index=has_index)
    good = left(lost)[-1]
    done = im2rec("extract", "a.rec", "out", "--key", lost[0], "--key", good)

    assert 5 == done.code
    assert f"warning: a.rec: no record has the key {lost[0]}: it is lost in damaged bytes\n" == done.err
    assert [f"{good % 3}/{good}.jpg"] == list(images_in(Path("out")))
    alone = im2rec("extract", "a.rec", "new", "--key", lost[0])
    assert (5, "") == (alone.code, alone.out)
    assert not Path("new").exists()


def test_iterate_takes_the_rest_and_lists_what_is_lost(damage: tuple[bytes, Sequence[int]], has_index: bool) -> None:
    data, lost = damage
    write(data, index=has_index)
    done = im2rec("iterate", "a.rec", "on_error=skip", *SHAPE, "--json")

    assert 5 == done.code
    found = as_json(done)
    assert (COUNT - len(lost), 0) == (found["images"], found["without_image"])
    assert (len(lost) if has_index else None) == found["lost"]
    if has_index:
        assert [f"a.rec, record {id_ - 100}" for id_ in lost] == [
            line.partition(", byte ")[0] for line in found["skipped"]
        ]
    else:
        assert found["damaged_ranges"] == len(found["skipped"])
        assert all(line.startswith("a.rec, byte ") for line in found["skipped"])
    with ImageRecordIter(path_imgrec="a.rec", data_shape=(3, 24, 24), batch_size=1, on_error="skip") as it:
        assert left(lost) == [int(batch.index[0]) for batch in it]
    table = im2rec("iterate", "a.rec", "on_error=skip", *SHAPE, "-q")
    assert "  damaged  " in table.out
    assert 1 == table.err.count("further ones are only counted")


def test_without_skip_the_run_fails_in_the_place_of_the_bad_record_and_says_how_to_skip(has_index: bool) -> None:
    write(DAMAGE["a flipped bit in a head"][0], index=has_index)
    done = im2rec("iterate", "a.rec", *SHAPE, "--dump", "dumped", "-q")

    assert (5, "", 1) == (done.code, done.out, done.err.count("\n"))
    assert done.err.startswith(f"im2rec: a.rec, record 7, byte {START[7]}: ")
    assert "on_error=skip skips and counts such records" in done.err
    assert [] == list(Path().glob("dumped*"))


@pytest.mark.parametrize(
    "words", [["backend=processes", "preprocess_threads=1"], ["rng=mxnet"], ["shuffle=1", "num_parts=2"]], ids=str
)
def test_other_ways_to_iterate_take_the_rest_too(words: list[str], has_index: bool) -> None:
    for name in ("a length that covers two more", "bytes that were inserted"):
        write(DAMAGE[name][0], index=has_index)
        seen = 0
        for part in range(2 if "num_parts=2" in words else 1):
            done = im2rec("iterate", "a.rec", "on_error=skip", *words, f"part_index={part}", *SHAPE, "--json")
            assert 5 == done.code
            seen += as_json(done)["images"]
            assert 1 == len(as_json(done)["skipped"])

        assert 19 == seen


def test_a_lost_record_cannot_be_replayed_and_the_others_can() -> None:
    write(DAMAGE["a flipped bit in a head"][0])
    for skip in ([], ["on_error=skip"]):
        lost = im2rec("iterate", "a.rec", *skip, *SHAPE, "--replay", "epoch=0,record=7", "-q")
        assert 5 == lost.code
        assert f"a.rec, record 7, byte {START[7]}: is lost in the damaged bytes" in lost.err
        shown = im2rec("iterate", "a.rec", *skip, *SHAPE, "--replay", "epoch=0,record=8", "--dry-run", "--json")
        assert (0, 108) == (shown.code, as_json(shown)["id"])


def test_bench_times_the_rest_and_counts_what_is_lost(has_index: bool) -> None:
    write(DAMAGE["a hole of zeros"][0], index=has_index)
    words = ("bench", "a.rec", *SHAPE, "--seconds", "0.02", "--threads", "1")
    done = im2rec(*words, "-q")

    assert 5 == done.code
    lost = ", 3 records lost" if has_index else ""
    size = (START[10] - START[7]) / 1000
    assert f"  damaged  1 range of {size:.3g} kB in all{lost}" in done.out.splitlines()
    assert "skipped" not in done.out
    assert "next: im2rec recover a.rec a_recovered.rec" == im2rec(*words).out.splitlines()[-1]


# Doubtful records.

PPMS = [image_payload(id_, 1, b"P6\n3 3\n255\n" + bytes([id_] * 29)) for id_ in IDS]  # of a kind that has no end mark
PPM_START = bounds(PPMS)


def write_doubtful() -> None:
    """Write ``a.rec`` without record 7, so that nothing proves that the one before it is whole."""
    data = joined(PPMS)
    Path("a.rec").write_bytes(data[: PPM_START[7]] + b"damaged!" + data[PPM_START[7] + 8 :])


def test_doubtful_records_are_counted_apart_and_kept_or_dropped() -> None:
    write_doubtful()

    done = im2rec("inspect", "a.rec")
    assert (5, "  damaged   18 whole records, 1 doubtful (record 6, id 106), lost: probably 1,") == (
        done.code,
        done.out.splitlines()[1],
    )
    assert "as id 107 is missing" == done.out.splitlines()[2].strip()
    kept, dropped = im2rec("extract", "a.rec", "kept"), im2rec("extract", "a.rec", "dropped", "--doubtful", "drop")
    assert (5, 5, 19, 18) == (kept.code, dropped.code, *(len(images_in(Path(name))) for name in ("kept", "dropped")))
    assert {"1/106.ppm"} == images_in(Path("kept")).keys() - images_in(Path("dropped"))
    assert "  doubtful  1 record, taken for whole; --doubtful drop leaves out such" in kept.out.splitlines()
    assert "doubtful" not in dropped.out
    for word, images, doubtful in (("keep", 19, 1), ("drop", 18, 0)):
        found = as_json(im2rec("iterate", "a.rec", "on_error=skip", f"doubtful={word}", *SHAPE, "--json"))
        assert (images, doubtful) == (found["images"], found["doubtful"])
        report = as_json(
            im2rec("bench", "a.rec", f"doubtful={word}", *SHAPE, "--seconds", "0.02", "--threads", 1, "--json")
        )
        assert (images, doubtful) == (report["records"], report["doubtful"])


# Many ranges, and hostile files.


def test_at_most_three_ranges_are_named_and_a_bounded_number_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.storage.damaged_range.MAX_LISTED", 4)
    write(DAMAGE["every second head"][0])
    named = [f"{number} records" if number > 1 else "1 record" for number in (1, 2, 3)]

    table = im2rec("inspect", "a.rec").out
    assert named == [
        line.partition(", after ")[2].partition(":")[0] for line in table.splitlines() if " bytes " in line
    ]
    assert "            and 7 more damaged ranges" in table.splitlines()
    found = as_json(im2rec("inspect", "a.rec", "--json"))
    assert (4, 10) == (len(found["damage"]), found["damaged_ranges"])
    assert sum(bad["end"] - bad["start"] for bad in found["damage"]) < found["damaged_bytes"]
    assert "           and 7 more damaged ranges" in im2rec("extract", "a.rec", "out").out.splitlines()
    assert 4 == len(as_json(im2rec("extract", "a.rec", "two", "--json"))["damage"])
    err = im2rec("inspect", "a.rec", "--head", COUNT).err.splitlines()
    assert (4, "warning: a.rec: damaged: and 7 more damaged ranges") == (len(err), err[-1])


def test_a_file_without_a_whole_record_is_damaged_and_nothing_else(tmp_path: Path) -> None:
    write(b"\n#\xd7\xce" + b"\xff" * 4000, index=False)

    done = im2rec("inspect", "a.rec")
    assert (5, "a.rec: 0 records, 0 images, 4 kB") == (done.code, done.out.splitlines()[0])
    assert "next:" not in done.out
    for words in (["extract", "a.rec", "out"], ["iterate", "a.rec", *SHAPE, "-q"], ["inspect", "a.rec", "--key", "1"]):
        failed = im2rec(*words)
        assert (5, "", 1) == (failed.code, failed.out, failed.err.count("\n")), words
    assert ["a.rec"] == [path.name for path in tmp_path.iterdir()]


def test_a_file_that_was_cut_between_two_records_is_damaged_if_its_index_says_so() -> None:
    write(WHOLE[: START[15]])
    for words in (["inspect", "a.rec"], ["extract", "a.rec", "out"], ["iterate", "a.rec", "on_error=skip", *SHAPE]):
        done = im2rec(*words, "--json")
        assert (5, 5, 1) == (done.code, as_json(done)["lost"], as_json(done)["damaged_ranges"]), words
    Path("a.idx").unlink()
    assert 0 == im2rec("inspect", "a.rec").code  # nothing tells


# Records whose damage only reading shows, and extractions that are resumed.


def damaging(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return *real*, which selects records, with damage that happens afterwards: to the padding of record 7."""

    def select(*args: Any) -> Any:
        with Path("a.rec").open("r+b") as file:
            file.seek(START[8] - 1)
            file.write(b"!")
        return real(*args)

    return select


def test_a_record_that_turns_out_to_be_damaged_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(PAYLOADS[7]) % 4  # it has padding
    write(WHOLE)
    monkeypatch.setattr(extraction, "select_records", damaging(extraction.select_records))
    done = im2rec("extract", "a.rec", "out", "-q")

    assert (5, "") == (done.code, done.err)
    assert "  damaged  1 image left out, as reading all of the record showed damage" in done.out.splitlines()
    assert done.out.startswith("extracted 19 of 20 images of a.rec\n")
    assert left([107]) == sorted(int(Path(name).stem) for name in images_in(Path("out")))


@pytest.mark.parametrize("to", ["folder", "tar"])
def test_a_resumed_extraction_of_a_damaged_file_gives_the_same_files(monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    write(DAMAGE["bytes that were inserted"][0])
    words = ("extract", "a.rec", "out", "--to", to, *(["--shard-size", "0.01"] if to == "tar" else []))
    monkeypatch.setattr(writers, "BATCH_RECORDS", 3)
    assert 5 == im2rec(*words).code
    expected = tree(Path("out"))
    Path("out").rename("whole")
    for stop in (4, 8, 15):
        with monkeypatch.context() as patch:
            real, seen = writers._make_sample, iter(range(COUNT))

            def interrupted(*args: Any, stop: int = stop, real: Any = real, seen: Any = seen) -> Any:
                if next(seen) == stop:
                    raise KeyboardInterrupt
                return real(*args)

            patch.setattr(writers, "_make_sample", interrupted)
            assert 130 == im2rec(*words).code
        assert Path("out.im2rec-partial").is_dir()
        assert 5 == im2rec(*words).code
        assert expected == tree(Path("out"))
        Path("out").rename(f"resumed {stop}")


def test_a_file_without_a_whole_record_is_damaged_for_every_command() -> None:
    write(PAYLOADS[0].join([b"damaged!", b""]) + bytes(8) + WHOLE[: START[1] - 4], index=False)

    for words in (
        ("inspect", "a.rec"),
        ("iterate", "a.rec", *SHAPE, "on_error=skip"),
        ("extract", "a.rec", "out"),
        ("recover", "a.rec", "out.rec"),
        ("index", "a.rec"),
    ):
        assert 5 == im2rec(*words).code, words
    assert ["a.rec"] == sorted(map(str, Path().iterdir()))
