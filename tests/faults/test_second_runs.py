"""``index``, ``digest`` and ``recover``: a second run, and what killed runs have left, of theirs and of a pack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from image_helpers import names_in
from recovery_helpers import damaged_rec

from im2rec.recovery import recover as recovering
from im2rec.recovery import reindex, repair
from im2rec.recovery.recover import RecoverOptions, recover
from im2rec.recovery.repair import repair_with_index
from im2rec.storage import digest
from im2rec.storage.journal import Journal, State, locked_beside
from im2rec.storage.output import AtomicFile
from im2rec.storage.writer import RecordWriter

Run = Callable[[], Any]
JUNK = b"\1" * 1000
BUSY = "another im2rec is writing it (wait for it, or choose another name)"
UNFINISHED = "an unfinished run has left records beside it (finish it by its own command, or remove its journal)"


def _recover() -> None:
    recover("a.rec", "o.rec", RecoverOptions(report="o.json"), force=True)


# How each is run, the files that it writes, the .rec of which these are, and what takes the time.
RUNS: dict[str, tuple[Run, list[str], str, tuple[Any, str]]] = {
    "index": (lambda: reindex.write_index("a.rec", force=True), ["a.idx"], "a.rec", (reindex, "scan_all")),
    "digest": (lambda: digest.write_digest("a.rec", force=True), ["a.rec.digest"], "a.rec", (digest, "make_digest")),
    "recover": (_recover, ["o.idx", "o.json", "o.rec"], "o.rec", (recovering, "scan_damaged")),
    "repair": (
        lambda: repair_with_index("b.rec", "a.rec", "o.rec", force=True),
        ["o.idx", "o.rec", "o.rec.digest"],
        "o.rec",
        (repair, "_read"),
    ),
}
each = pytest.mark.parametrize("name", RUNS)


@pytest.fixture(autouse=True)
def files(here: Path) -> Iterator[Path]:
    """A damaged file with an index, a digest and a copy."""
    damaged_rec(here / "a.rec", [*range(10), JUNK, *range(10, 20)])
    digest.write_digest("a.rec")
    (here / "b.rec").write_bytes((here / "a.rec").read_bytes()[:1000])
    yield here
    assert [] == [path.name for path in here.iterdir() if "im2rec-" in path.name]


@each
def test_a_second_run_is_refused_before_it_reads_anything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _, rec, (module, slow) = RUNS[name]
    monkeypatch.setattr(module, slow, lambda *_, **__: pytest.fail("it begins"))

    with locked_beside(Path(rec), Path(rec)):
        assert f"{rec}: {BUSY}" == message_of(run)
    with RecordWriter(rec, force=True) as writer:
        assert f"{rec}: {BUSY}" == message_of(run)
        writer.discard()


@each
def test_a_second_run_is_refused_while_the_first_one_is_at_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _, rec, (module, slow) = RUNS[name]
    real, messages = getattr(module, slow), []

    def slowly(*words: Any, **options: Any) -> Any:
        if not messages:
            messages.append(message_of(run))
        return real(*words, **options)

    monkeypatch.setattr(module, slow, slowly)
    run()
    assert [f"{rec}: {BUSY}"] == messages


@each
def test_what_a_killed_run_has_left_is_written_over(name: str) -> None:
    run, outputs, rec, _ = RUNS[name]
    run()
    expected = [size_or_content(output) for output in outputs]
    Path(f"{rec}.im2rec-journal").touch()
    for output in outputs:
        Path(output).unlink()
        Path(f"{output}.im2rec-partial").write_bytes(b"a" * 100_000)
    run()

    assert expected == [size_or_content(output) for output in outputs]


def size_or_content(output: str) -> object:
    """The content of a file, or the size of a report, which has the time that the run took."""
    content = Path(output).read_bytes()
    return len(content) // 100 if output == "o.json" else content


@each
def test_the_records_of_an_unfinished_pack_are_not_written_over(name: str) -> None:
    run, outputs, rec, _ = RUNS[name]
    with Journal(rec) as journal:
        journal.save(State(1, {rec: 8, "o.idx": 3}, {}), synced=True)
    partials = [Path(f"{output}.im2rec-partial") for output in outputs]
    for path in partials:
        path.write_bytes(b"records")
    before = names_in(Path())

    assert f"{rec}.im2rec-journal: {UNFINISHED}" == message_of(run)
    assert before == names_in(Path())
    assert {b"records"} == {path.read_bytes() for path in partials}
    for path in (*partials, Path(f"{rec}.im2rec-journal")):
        path.unlink()


def test_an_index_or_a_digest_elsewhere_is_written_beside_a_running_pack(here: Path) -> None:
    (here / "sub").mkdir()
    with RecordWriter("a.rec", force=True) as writer:
        reindex.write_index("a.rec", Path("sub/a.idx"))
        digest.write_digest("a.rec", Path("sub/a.digest"))
        with AtomicFile("sub/a.idx", force=True):
            message = message_of(reindex.write_index, "a.rec", "sub/a.idx", force=True)
            assert f"{Path('sub/a.idx')}: {BUSY}" == message
        writer.discard()
    assert ["a.digest", "a.idx"] == names_in(here / "sub")
