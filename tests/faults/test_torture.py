"""A slice of ``torture.py``, and the tests of what it compares with."""

from __future__ import annotations

import errno
import itertools
import math
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.torture import table
from faults.torture_packs import (
    SMALL,
    RandomPack,
    Reference,
    copied,
    make_pack,
    make_reference,
    spoil,
    wrong_at_end,
    wrong_between,
)
from faults.torture_runs import (
    AFTER,
    BEFORE,
    BETWEEN,
    FULL,
    GROUP,
    MIDDLE,
    PARENT,
    PLACES,
    STEP,
    TOO_MANY,
    WORKER,
    Case,
    Hit,
    Outcome,
    Stop,
    spread_share,
)
from faults.torture_steps import NAMES
from image_helpers import PROC, im2rec

from im2rec.storage import disk

NEVER = 10**6  # more steps than any run has
TRIES = 3  # on a machine so loaded that a run is over before it is stopped
Ready = tuple[RandomPack, Reference]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A pack with a digest, and its undisturbed end."""
    folder = tmp_path_factory.mktemp("torture")
    made = make_pack(random.Random(1), folder / "pack", SMALL, "--digest", plain=True)
    return made, make_reference(made, folder / "reference")


@pytest.fixture(scope="module")
def forced(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A pack that replaces an older pair."""
    folder = tmp_path_factory.mktemp("torture")
    made = make_pack(random.Random(2), folder / "pack", SMALL, "--digest", "--force", plain=True)
    return made, make_reference(made, folder / "reference")


def stopped(pack: Ready, folder: Path, *stops: Stop, seconds: float = 1.0) -> Outcome:
    """Stop *pack* in new folders below *folder*, slowed down so that it is not over before; it must end right."""
    for attempt in range(TRIES):
        case = Case("slice", *pack, folder / str(attempt), random.Random(0))
        # No test of the suite depends on the time between two states: it is only asked that a run does not begin again.
        case.lag_s, case.seconds = math.inf, seconds
        outcome = case.run(list(stops))
        assert [] == outcome.problems, "\n".join(outcome.diary)
        if not outcome.too_late:
            return outcome
    pytest.fail("the run was always over before its stop")


# The slice.


@PROC
@pytest.mark.parametrize(
    "stops",
    [
        [Stop(PARENT, 0.5)],
        [Stop(GROUP, 0.3), Stop(PARENT, 0.6)],
        [Stop(WORKER, 0.2), Stop(GROUP, 0.5)],
        [Stop("SIGTERM", 0.5)],
        [Stop(TOO_MANY, 0.5)],
    ],
    ids=["parent", "group, twice", "worker and group", "SIGTERM", "too many bad images"],
)
def test_a_pack_that_is_stopped_in_the_middle_goes_on(pack: Ready, stops: list[Stop], tmp_path: Path) -> None:
    outcome = stopped(pack, tmp_path / "case", *stops)

    assert [stop.kind for stop in stops] == [hit.kind for hit in outcome.hits]
    assert {BEFORE, AFTER}.isdisjoint(hit.where for hit in outcome.hits)
    assert outcome.hits[-1].went_on


@PROC
def test_a_pack_that_is_killed_between_its_renames_goes_on(forced: Ready, tmp_path: Path) -> None:
    case = Case("counted", *forced, tmp_path / "counted", random.Random(0))
    case.run([Stop(STEP, step=NEVER, counted="names")])
    steps = [step.split() for step in case.log.read_text().splitlines()]
    renames = [int(number) for number, word, *names in steps if word in NAMES and forced[0].names.rec in names]
    (removed,) = [int(number) for number, *step in steps if step == ["unlink", "o.rec.im2rec-journal"]]

    for number in range(renames[-1], removed, 3):
        outcome = stopped(
            forced, tmp_path / str(number), Stop(STEP, step=number, when="after", counted="names"), seconds=0
        )
        assert [(BETWEEN, AFTER, True)] == [(hit.kind, hit.where, hit.went_on) for hit in outcome.hits]


class Room:
    """A disk with room for so many more bytes of output files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self._real = room, disk.OutputStream.write
        monkeypatch.setattr(disk.OutputStream, "write", self._method())

    def _method(self) -> Callable[[disk.OutputStream, bytes], int]:
        def write(stream: disk.OutputStream, data: bytes) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = self._real(stream, data[: self.room])
            self.room -= written
            return written

        return write


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 1])
def test_a_pack_on_a_full_disk_goes_on_once_there_is_room(
    pack: Ready, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, reference = pack
    case = Case("full", made, reference, tmp_path / "case", random.Random(0))
    case.lag_s = math.inf
    monkeypatch.chdir(case.folder)
    room = Room(monkeypatch, int(share * reference.size))

    code, out, err = im2rec(*made.words, "-q")
    assert (1, "", 1) == (code, out, err.count("\n"))
    assert "no space left on device" in err
    case.hit(Stop(FULL, share))
    case.judge_between()
    room.room = 1 << 30
    case.judge_end(im2rec(*made.words, "--json", "-q"))

    assert [] == case.outcome.problems
    assert [True] == [hit.went_on for hit in case.outcome.hits]


# Packs and moments.


def test_a_random_pack_is_the_same_whichever_others_are_made(tmp_path: Path) -> None:
    one, other = (make_pack(random.Random(7), tmp_path / name, SMALL) for name in ("one", "other"))

    assert one.words == other.words
    assert files_below(tmp_path / "one") == files_below(tmp_path / "other")


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nine_in_ten_stops_are_in_the_middle_and_evenly_spread() -> None:
    shares = sorted(map(spread_share, range(300)))

    assert 0.01 > shares[0]
    assert 0.99 < shares[-1]
    assert 260 < sum(0.1 <= share <= 0.9 for share in shares)
    assert 0.02 > max(after - before for before, after in itertools.pairwise(shares))


# Verdicts.


@pytest.fixture
def out(forced: Ready, tmp_path: Path) -> Path:
    """The folder of an old pair that a pack replaces."""
    return copied(forced[0], tmp_path / "copy") / "out"


def put(out: Path, files: dict[str, bytes], *names: str) -> None:
    for name in names:
        (out / name).write_bytes(files[name])


def test_an_old_pair_a_new_one_and_a_rec_alone_are_right_after_a_kill(forced: Ready, out: Path) -> None:
    made, reference = forced
    names = made.names
    (out / "o.rec.im2rec-partial").write_bytes(b"half")

    assert [] == wrong_between(made, reference, out)
    (out / names.digest).unlink()
    (out / names.idx).unlink()
    assert [] == wrong_between(made, reference, out)
    put(out, reference.files, names.rec)
    assert [] == wrong_between(made, reference, out)
    put(out, reference.files, names.idx, names.digest)
    assert [] == wrong_between(made, reference, out)


@pytest.mark.parametrize("name", ["rec", "idx", "digest"])
def test_a_mixed_pair_is_wrong_after_a_kill(forced: Ready, out: Path, name: str) -> None:
    made, reference = forced
    put(out, reference.files, getattr(made.names, name))

    assert wrong_between(made, reference, out)


def test_a_half_file_and_a_foreign_one_are_wrong_after_a_kill(forced: Ready, out: Path) -> None:
    made, reference = forced
    (out / made.names.rec).write_bytes(reference.files[made.names.rec][:-4])
    (out / "core").write_bytes(b"")

    assert ["o.rec is neither", "o.idx is old", "o.rec.digest is old", "core is no"] == [
        " ".join(problem.replace(",", "").split()[:3]) for problem in wrong_between(made, reference, out)
    ]


def test_any_difference_from_the_undisturbed_end_is_wrong(forced: Ready, out: Path) -> None:
    _, reference = forced
    for path in out.iterdir():
        path.unlink()
    put(out, reference.files, *reference.files)
    assert [] == wrong_at_end(reference, out, reference.code, reference.summary)

    (out / "o.rec.im2rec-journal").write_bytes(b"")
    (out / "o.idx").unlink()
    (out / "o.rec").write_bytes(reference.files["o.rec"][:-1] + b"?")
    size = reference.size
    assert [
        "o.idx is missing",
        "o.rec.im2rec-journal is left over",
        f"o.rec has {size} bytes, not {size}, other from {size - 1} on",
        f"exit code 1, not {reference.code}",
        "the summary has images 7, not " + repr(reference.summary["images"]),
    ] == wrong_at_end(reference, out, 1, {**reference.summary, "images": 7})


def test_images_that_are_packed_again_after_they_were_spoilt_are_noticed(pack: Ready, tmp_path: Path) -> None:
    case = Case("spoilt", *pack, tmp_path / "case", random.Random(0))
    before = (case.folder / "root" / "s3" / "0.jpg").stat()
    spoil(case.folder / "root", 3)
    after = (case.folder / "root" / "s3" / "0.jpg").stat()

    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert case.run([]).problems


def test_the_table_has_a_row_for_each_way_and_a_column_for_each_moment() -> None:
    outcomes = [
        Outcome("k1", [Hit(PARENT, 0.3, MIDDLE, went_on=True), Hit(GROUP, 1, AFTER, went_on=False)]),
        Outcome("k2", [Hit(PARENT, 0, BEFORE)], problems=["o.idx is missing"]),
    ]

    assert [
        f"| stopped by | stops | {' | '.join(PLACES)} | gone on with | begun again | wrong |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| kill -9 group | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 1 | 0 |",
        "| kill -9 parent | 2 | 1 | 0 | 1 | 0 | 0 | 1 | 0 | 1 |",
    ] == table(outcomes).splitlines()
