"""A slice of fuzzing that always runs: the same inputs each time, those that were findings, and the harness itself."""

from __future__ import annotations

import faulthandler
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzz import fields, harness
from fuzz.harness import REGRESSIONS, Finding, Inputs, Problem, check, fuzz, minimised, replay
from fuzz.mutations import mutated
from fuzz.targets import TARGETS, Target

from im2rec.errors import InputError, ParameterError
from im2rec.format.recordio import MAGIC

SEED = 17
INPUTS = 60  # of each target, its seeds included
WATCHDOG_S = 900.0  # for all that is here, which takes a hundredth of it: only what never ends is stopped
SAVED = sorted(REGRESSIONS.glob("*.bin"))


@pytest.fixture(scope="module", autouse=True)
def _ends_with_a_traceback_instead_of_never() -> Iterator[None]:
    faulthandler.dump_traceback_later(WATCHDOG_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_returns_or_raises_one_of_our_errors_within_bounded_memory(name: str) -> None:
    outcome = fuzz(TARGETS[name], SEED, goes_on=lambda number: number < INPUTS)

    assert {} == {kind: (found.problem.text, found.data[:200]) for kind, found in outcome.findings.items()}
    assert INPUTS == outcome.inputs


@pytest.mark.parametrize("path", SAVED, ids=[path.stem for path in SAVED])
def test_an_input_that_was_a_finding_is_none_any_more(path: Path) -> None:
    assert replay(path) is None


# The harness.


def a_target(run: Callable[[bytes], object], **more: object) -> Target:
    return Target("some", lambda: [b"seed number one", b"another"], run, (InputError,), **more)  # type: ignore[arg-type]


def raises(error: Exception) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        if b"x" in data:
            raise error

    return run


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (raises(InputError("is wrong")), None),
        (raises(struct.error("unpack")), "error: unpack, at "),
        (
            raises(ParameterError("p")),
            "ParameterError: p (an error of ours, but not one that this parser may raise), at ",
        ),
        (lambda data: bytearray(10**8 if data else 0), "allocates 100,"),  # and a few hundred bytes more
        (lambda _: int("9" * 5000), "ValueError: Exceeds the limit"),
    ],
)
def test_whatever_breaks_the_invariant_is_a_problem(run: Callable[[bytes], object], expected: str | None) -> None:
    problem = check(a_target(run), b"x").problem

    assert (expected is None) == (problem is None)
    assert problem is None or problem.text.startswith(expected or "")


def test_what_takes_long_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((0.0, harness.SLOW_S, 0.0, harness.SLOW_S + 1))
    monkeypatch.setattr(harness.time, "process_time", lambda: next(seconds))

    assert check(a_target(lambda _: None), b"x", timed=True).problem is None
    assert ("slow", "takes 11 s for an input of 1 bytes") == check(a_target(lambda _: None), b"x", timed=True).problem


def test_the_smallest_input_of_each_fault_is_kept_and_made_smaller() -> None:
    target = a_target(raises(struct.error()), tokens=(b"x",))
    outcome = fuzz(target, SEED, goes_on=lambda number: number < 300)

    (finding,) = outcome.findings.values()
    assert b"x" == minimised(target, finding, goes_on=lambda: True).data


def test_minimising_stops_when_its_time_is_over() -> None:
    finding = Finding(Problem("error-", ""), b"x" * 100)
    assert finding == minimised(a_target(raises(struct.error())), finding, goes_on=lambda: False)


def test_inputs_follow_from_the_seed_and_begin_with_the_valid_ones() -> None:
    def first(seed: int) -> list[bytes]:
        return [data for data, _ in zip(Inputs(TARGETS["frames"], seed), range(60), strict=False)]

    seeds = TARGETS["frames"].make_seeds()
    assert first(1) == first(1) != first(2)
    assert seeds == first(1)[: len(seeds)]


def test_an_input_that_leads_to_a_new_place_is_mutated_further() -> None:
    inputs = Inputs(a_target(lambda _: None), SEED)
    inputs.learn(b"<place>", "some:1")
    inputs.learn(b"<again>", "some:1")
    made = [data for data, _ in zip(inputs, range(500), strict=False)]

    assert any(b"<pla" in data for data in made)
    assert not any(b"<again" in data for data in made)


def test_half_of_the_mutations_are_aimed_at_heads_and_lengths() -> None:
    rec = TARGETS["frames"].make_seeds()[0]
    trusted = {at for field in fields.of_frames(rec) for at in range(field.start, field.start + field.size)}
    rng, hit, changed = random.Random(SEED), 0, 0
    for _ in range(2000):
        data = mutated(rng, [rec], fields.of_frames, ())
        if len(data) == len(rec):
            places = {at for at in range(len(rec)) if data[at] != rec[at]}
            changed += bool(places)
            hit += bool(places & trusted)

    assert len(trusted) < len(rec) // 4
    assert hit > changed // 2


@pytest.mark.parametrize("name", TARGETS)
def test_fields_lie_within_their_input_whatever_it_is(name: str) -> None:
    rng, target = random.Random(SEED), TARGETS[name]
    for seed in target.make_seeds():
        for data in (seed, seed[: len(seed) // 2], rng.randbytes(50), b"", MAGIC, MAGIC * 2):
            assert all(0 <= start <= start + size <= len(data) for start, size, _ in target.fields(data))
            if target.mend:
                assert len(target.mend(data)) <= len(data) + 70


def test_mended_checksums_let_a_damage_through() -> None:
    (tar, *_), (png, *_) = TARGETS["tars"].make_seeds(), TARGETS["images"].make_seeds()
    for data, at in ((tar, 0), (png, 16)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert data == fields.with_checksums(data)
        assert damaged != fields.with_checksums(damaged)


# The command, in processes of its own.


def run(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fuzz", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, cwd=Path(__file__).parents[1])


def test_the_command_prints_a_line_for_each_parser() -> None:
    done = run("--seconds=0.5", "--target=header", "--seed=1", "--own")

    assert (0, "") == (done.returncode, done.stderr)
    first, line = done.stdout.splitlines()
    assert first.startswith("seed 1, own mutations; findings are saved in ")
    assert line.startswith("header ")
    assert line.endswith("  0 findings")


def test_the_command_replays_a_saved_input(tmp_path: Path) -> None:
    saved = tmp_path / "header-some.bin"
    saved.write_bytes(b"short")

    done = run("--replay", saved)
    assert (0, f"{saved}: fine\n", "") == (done.returncode, done.stdout, done.stderr)
