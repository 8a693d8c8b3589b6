"""Damage files at random, read them in every way, and compare with an oracle that knows the damage: a table.

    python tests/faults/damages.py --cases 2000 --seed 1

The table is in docs/promises.md. ``--show N`` explains case N of the seed. ``test_damages.py`` runs a slice of it.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import logging
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.damage_kinds import DAMAGES, SEVERAL, Case, make_case
from faults.damage_oracle import Truth
from faults.damage_ways import READERS, WAYS, Given, Payloads, read_without_doubtful

from im2rec.errors import Im2RecError
from im2rec.format.irheader import HEADER_BYTES

# Comparison.


def content_of(payload: bytes) -> bytes | None:
    """Return the content of an image record, None if there is none that ``extract`` writes."""
    if len(payload) < HEADER_BYTES:
        return None
    return payload[HEADER_BYTES + 4 * int.from_bytes(payload[:4], "little") :] or None


def id_of(payload: bytes) -> bytes | None:
    """Return the id of an image record with content, as text."""
    return str(int.from_bytes(payload[8:16], "little")).encode() if content_of(payload) else None


UNKNOWABLE = "what nothing in the file can tell"
BY_LINES = ("open", "iterator")  # of an index that lists only some records, these read no others
COUNTED = ("never were", "doubtful", "changed")
VIEWS: dict[str, Callable[[bytes], bytes | None]] = {"extract": content_of, "iterator": id_of}


@dataclass
class Result:
    """What one way gave of one case, counted; *problems* are sentences."""

    untouched: int = 0
    given: int = 0
    never: int = 0
    odd: int = 0  # of those that never were, what nothing in the file can tell
    doubtful: int = 0
    changed: int = 0
    problems: list[str] = field(default_factory=list)


def viewed(way: str, payloads: Payloads) -> Payloads:
    """Return what *way* gives of each of *payloads*."""
    view = VIEWS.get(way, lambda payload: payload)
    return Payloads(seen for payload in payloads.elements() if (seen := view(payload)) is not None)


def compare(truth: Truth, way: str, given: Given, *, index: bool) -> Result:
    """Compare what *way* gave with the truth."""
    view = VIEWS.get(way, lambda payload: payload)
    result, payloads, rest = Result(), truth.original.payloads, given.payloads.copy()
    by_lines = index and truth.fits_index and way in BY_LINES
    for record in sorted(truth.expected - (truth.unlisted if by_lines else set())):
        seen = view(payloads[record])
        if seen is None:
            continue
        result.untouched += 1
        if rest[seen] > 0:
            rest[seen] -= 1
            result.given += 1
        else:
            at = next(at for at, other in truth.whole.items() if other == record and at not in truth.unprovable)
            result.problems.append(f"record {record}, whole at byte {at}, {len(payloads[record])} bytes, is not given")
    if given.error and (result.untouched or given.payloads):  # a file without a whole record may be refused
        result.problems.insert(0, given.error)
    _compare_extra(truth, way, given, result)
    result.doubtful = given.doubtful.total()
    if way in ("scan", "open"):
        for payload, count in given.payloads.items():
            if count - given.doubtful[payload] < min(count, truth.confirmed[payload]):
                result.problems.append(f"doubtful, though a head follows: {_named(truth, payload)}")
    if given.lines is not None and not by_lines:
        _compare_lines(truth, given.lines, result)
    return result


def differences(truth: Truth, way: str, given: Given, base: Given, *, index: bool) -> Iterator[str]:
    """Yield how what *way* gave differs from what *base*, the scan, gave of the same file.

    With an index each of its lines is given once, however many copies of the record there are. Where the part heads are
    as the index says, the bytes between them are not read: the scan, which reads all, may find records in the data of
    another one. That one has its length in place, and other data now. And an index that fits few records is left out.
    """
    seen, here = viewed(way, base.payloads), given.payloads
    if index:
        unsure = set(viewed(way, Payloads(payload for _, payload in truth.changed.values())))
        unsure |= {*+given.doubtful, *viewed(way, base.doubtful)}
        seen, here = Payloads(set(seen) - unsure), Payloads(set(here) - unsure)
    few, more = (seen - here).total(), (here - seen).total()
    # The iterator leaves out images that cannot be decoded.
    if more or (few and way != "iterator"):
        yield f"{few} records are given by the scan only, {more} by this one only"
    is_counted = given.counted_doubtful is not None and not (index and truth.changed)
    if is_counted and given.counted_doubtful != base.doubtful.total():
        yield f"{given.counted_doubtful} records are counted as doubtful, by the scan {base.doubtful.total()}"


def _compare_extra(truth: Truth, way: str, given: Given, result: Result) -> None:
    """Count what was given beyond the records that may be."""
    allowed, odd = viewed(way, truth.allowed), viewed(way, Payloads(truth.odd.keys()))
    changed = viewed(way, Payloads(payload for _, payload in truth.changed.values()))
    for payload, count in given.payloads.items():
        result.changed += payload in changed
        extra = count - allowed[payload]
        if extra <= 0:
            continue
        extra -= min(extra, given.doubtful[payload])
        if payload in odd:
            result.odd += extra
        elif extra > 0:
            result.never += extra
            result.problems.append(f"never was, {extra} times: {_named(truth, payload)}")


def _compare_lines(truth: Truth, lines: dict[int, bytes], result: Result) -> None:
    """Check that no line of the index gives the record of another line, and that none lacks its own.

    Where the keys are ids, those tell which is which; else only the sizes do, which the index knows of all lines but
    the last. Ordinals after the lines are records that the index does not list: copies.
    """
    original, payloads = truth.original, truth.original.payloads
    records = {payload: record for record, payload in enumerate(payloads)}
    records |= {payload: record for record, payload in truth.changed.values()}
    for line, payload in lines.items():
        record = records.get(payload, line)
        if line >= len(payloads) or payload in (payloads[line], b""):
            continue
        sizes = {len(original.frames[number]) for number in (record, line)}
        if (len(sizes) > 1 and line < len(payloads) - 1) or (
            original.keys_are_ids and original.keys[record] != original.keys[line]
        ):
            result.problems.append(f"the record given for line {line} is another: {_named(truth, payload)}")
    for record in truth.expected - {record for record, _ in truth.changed.values()}:
        key = str(original.keys[record]).encode()
        is_known = original.keys_are_ids and id_of(payloads[record]) == key and original.keys.count(int(key)) == 1
        if is_known and payloads[record] != lines.get(record) and payloads[record] in lines.values():
            result.problems.append(f"record {record} is given, but not for its line")


def _named(truth: Truth, payload: bytes) -> str:
    """Return how to find *payload*: the record that it is, or where its bytes are."""
    if payload in truth.original.payloads:
        record = truth.original.payloads.index(payload)
        places = sorted(at for at, other in truth.whole.items() if other == record)
        return f"record {record} ({len(payload)} bytes), whole at {places}"
    start = truth.data.find(payload[:64])
    return f"{len(payload)} bytes, {payload[:24].hex(' ')}..., found at byte {start}"


# Cases.


@dataclass
class Outcome:
    """All results of one case, by (way, with index)."""

    number: int
    damage: str
    kind: str
    exempt: list[str]
    results: dict[tuple[str, bool], Result]

    @property
    def problems(self) -> list[str]:
        return [
            f"{way}, {'with' if index else 'no'} index: {problem}"
            for (way, index), result in self.results.items()
            for problem in result.problems
        ]


def run_case(case: Case, number: int, folder: Path, ways: Iterable[str]) -> Outcome:
    """Read the case in each of *ways*, with an index and without."""
    truth, results = Truth(case.file), {}
    for index in (True, False):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            path = Path(name) / "damaged.rec"
            path.write_bytes(case.file.data)
            if index:
                path.with_suffix(".idx").write_bytes(case.original.index)
            for way, result in _run_ways(truth, path, ways, index=index):
                results[way, index] = result
    exempt = sorted(set(truth.odd.values()))
    exempt += ["off the grid"] * bool(truth.exempt_records) + ["good index of some records"] * bool(truth.unlisted)
    return Outcome(number, case.damage, case.original.kind, exempt, results)


def _run_ways(truth: Truth, path: Path, ways: Iterable[str], *, index: bool) -> Iterator[tuple[str, Result]]:
    base: Given | None = None
    doubtful = Payloads()
    for way in ways:
        if way == "iterator" and not truth.original.all_images:
            continue
        given = _read(way, path)
        if base is not None and way != "open":  # the others do not say which ones are doubtful
            given.doubtful = viewed(way, doubtful) & given.payloads
        result = compare(truth, way, given, index=index)
        is_subset = index and truth.fits_index and way in BY_LINES
        if base is not None and not given.error and not base.error and not is_subset:
            result.problems += differences(truth, way, given, base, index=index)
        if way == "scan":
            # An index that fits few of the records may be left out.
            base, doubtful = given, given.doubtful | _read(way, path, use_index=False).doubtful
        if way == "open" and not given.error and read_without_doubtful(path) != given.payloads - given.doubtful:
            result.problems.append('doubtful="drop" leaves out others than the doubtful ones')
        yield way, result


def _read(way: str, path: Path, **options: bool) -> Given:
    try:
        return READERS[way](path, **options)
    except Im2RecError as error:
        return Given(error=f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - a case that breaks must not hide the others
        line = traceback.extract_tb(error.__traceback__)[-1]
        return Given(error=f"{type(error).__name__}: {error} ({Path(line.filename).name}, line {line.lineno})")


def run_numbers(seed: int, numbers: list[int], ways: tuple[str, ...]) -> list[Outcome]:
    """Run cases *numbers* of *seed*; in a worker process, too."""
    with tempfile.TemporaryDirectory() as folder:
        return [run_case(make_case(seed, number), number, Path(folder), ways) for number in numbers]


def silence() -> None:
    """Log no warnings about damaged files in this process."""
    logging.disable(logging.WARNING)


def run_all(seed: int, cases: int, ways: tuple[str, ...], jobs: int) -> Iterator[Outcome]:
    chunks = [list(range(start, min(start + 25, cases))) for start in range(0, cases, 25)]
    if jobs == 1:
        for chunk in chunks:
            yield from run_numbers(seed, chunk, ways)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=silence) as pool:
        for outcomes in pool.map(run_numbers, [seed] * len(chunks), chunks, [ways] * len(chunks)):
            yield from outcomes


# The table.


def table(outcomes: list[Outcome], ways: Iterable[str]) -> str:
    """Return a table in Markdown: a row for each kind of damage, one for all, one for what nothing in a file can tell.

    Where two numbers are given, the first is with an index.
    """
    shown = [way for way in ways if way != "scan"] or ["scan"]
    head = ["damage", "cases", "untouched records", *(f"{way}, %" for way in shown), *COUNTED]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    by_damage = collections.defaultdict(list)
    for outcome in outcomes:
        by_damage[UNKNOWABLE if outcome.exempt else outcome.damage].append(outcome)
    rows += [_row(damage, by_damage[damage], shown) for damage in [*DAMAGES, SEVERAL] if damage in by_damage]
    rows.append(_row("all of these", [outcome for outcome in outcomes if not outcome.exempt], shown))
    rows.append(_row(UNKNOWABLE, by_damage[UNKNOWABLE], shown))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(damage: str, outcomes: list[Outcome], ways: list[str]) -> list[str]:
    results = [(*key, result) for outcome in outcomes for key, result in outcome.results.items()]

    def total(name: str, *, index: bool, way: str = "scan") -> int:
        return sum(getattr(result, name) for key, with_index, result in results if (key, with_index) == (way, index))

    def share(way: str, *, index: bool) -> str:
        untouched, given = (total(name, way=way, index=index) for name in ("untouched", "given"))
        return "-" if not untouched else "100" if given == untouched else f"{100 * given / untouched:.2f}"

    def pair(with_index: object, without: object) -> str:
        return str(without) if with_index == without else f"{with_index} / {without}"

    shares = [pair(share(way, index=True), share(way, index=False)) for way in ways]
    never = sum(max(result.never + result.odd for result in outcome.results.values()) for outcome in outcomes)
    counts = [pair(total(name, index=True), total(name, index=False)) for name in ("doubtful", "changed")]
    return [damage, f"{len(outcomes):,}", f"{total('untouched', index=False):,}", *shares, str(never), *counts]


# The command.


def explained(seed: int, number: int, ways: Iterable[str]) -> Iterator[str]:
    """Yield lines on a case: the damage, what is whole, and what is wrong. Writes the damaged file beside its index."""
    case = make_case(seed, number)
    truth, original = Truth(case.file), case.original
    yield f"case {number} of seed {seed}: {case.damage}; a file of {len(original.payloads)} records, {original.kind}"
    yield from (f"  {done}" for done in case.file.done)
    yield f"{len(original.data)} bytes before, {len(truth.data)} after:"
    for offset, piece in zip(case.file.offsets, case.file.pieces, strict=True):
        end = offset + len(piece.data)
        yield f"  {offset:>8} to {end:>8}  of {piece.source}, in the place of {piece.place}"
    yield from _records_explained(truth)
    path = Path(tempfile.gettempdir()) / f"case-{seed}-{number}.rec"
    path.write_bytes(truth.data)
    path.with_suffix(".idx").write_bytes(original.index)
    yield f"written to {path}, with its index"
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_case(case, number, Path(folder), ways)
    yield from (f"* {problem}" for problem in outcome.problems or ["no problem"])


def _records_explained(truth: Truth) -> Iterator[str]:
    where = collections.defaultdict(list)
    for at, record in truth.whole.items():
        where[record].append(at)
    for record, payload in enumerate(truth.original.payloads):
        state = f"whole at {sorted(where[record])}" if where[record] else "touched"
        state += ", which the file cannot tell" if record in truth.exempt_records else ""
        start, parts = truth.original.starts[record], len(truth.original.parts[record])
        yield f"  record {record:>2} at {start:>7}, {len(payload)} bytes in {parts} parts: {state}"
    for at, (record, payload) in truth.changed.items():
        yield f"  record {record} has other data at {at}, {len(payload)} bytes"
    for payload, reason in truth.odd.items():
        yield f"  the file cannot tell ({reason}): {_named(truth, payload)}"


def main() -> int:
    """Run the command; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--ways", default=",".join(WAYS), help="some of %(default)s")
    parser.add_argument("--show", type=int, metavar="N", help="explain case N")
    parser.add_argument("--list", type=int, default=20, metavar="N", help="at most N cases with problems are listed")
    options = parser.parse_args()
    ways = tuple(way for way in WAYS if way in options.ways.split(","))
    silence()
    if options.show is not None:
        sys.stdout.writelines(f"{line}\n" for line in explained(options.seed, options.show, ways))
        return 0
    started = time.monotonic()
    outcomes = list(run_all(options.seed, options.cases, ways, options.jobs))
    wrong = [outcome for outcome in outcomes if outcome.problems]
    for outcome in wrong[: options.list]:
        problem = outcome.problems[0][:200]
        sys.stderr.write(f"case {outcome.number}, {outcome.kind}, {outcome.damage}: {problem}\n")
    sys.stdout.write(f"{table(outcomes, ways)}\n")
    exempt = collections.Counter(reason for outcome in outcomes for reason in outcome.exempt)
    sys.stderr.write(f"{len(wrong)} of {len(outcomes)} cases with problems, {time.monotonic() - started:.0f} s\n")
    sys.stderr.write(f"what the file cannot tell: {dict(exempt)}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
