"""Record packs, let the power fail at any moment of them, and go on: the files must be those of an undisturbed run.

    python tests/faults/power_loss.py --cases 1000 --seed 1

Each case is a pack of some small images, with keys, bad images, old files and options drawn at random, which loses
power up to three times. Before each run the files under their final names must be whole and fit each other. What was
synced with a journal must not be read again. ``test_power_loss.py`` runs a slice of it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest
from faults.disk_model import PLAIN_LOSSES, History, Loss, State
from faults.disk_recorder import Failure
from faults.power_loss_replay import Job, Replay, whole_records
from faults.stepped_threads import stepped_threads
from image_helpers import encoded, texture

from im2rec.packing import pack as pack_module
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.storage import checkpoints, output
from im2rec.storage.disk import OutputStream

# Packs.


class Steps(NamedTuple):
    """How often a pack does what.

    The lines in a chunk, the times between states and synchronised states, by a clock that counts looks, and the bytes
    that a file holds back.
    """

    chunk_lines: int = 4
    save_s: int = 0
    sync_s: int = 0
    buffer_bytes: int = 1 << 20

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Let packs in this process save states at these intervals, whatever the real time.

        The thread that synchronises does its steps among those of the pack, each time in the same order.
        """
        looks = itertools.count()
        with pytest.MonkeyPatch.context() as patch, stepped_threads(checkpoints, seed=self.chunk_lines):
            patch.setattr(pack_module, "MAX_CHUNK_LINES", self.chunk_lines)
            patch.setattr(pack_module, "CHUNK_S", 1e9)  # so that the size of chunks does not depend on the time
            for name, value in (("SAVE_S", self.save_s), ("SYNC_S", self.sync_s), ("COST", 0)):
                patch.setattr(checkpoints, name, value)
            patch.setattr(output, "_BUFFER_BYTES", self.buffer_bytes)
            patch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: next(looks)))
            yield


ALL_STATES = Steps()
OK, MISSING, NO_IMAGE, NO_LINE = "", "missing", "no image", "no line"  # kinds of images in a list


def pack_job(
    folder: Path,
    kinds: list[str],
    params: PackParams,
    options: PackOptions,
    before: State | None = None,
    steps: Steps = ALL_STATES,
    classes: bool = False,
) -> Job:
    """Make images and a list in *folder*, and return the job of packing them; *kinds* are those of the images."""
    root, listed = folder / "root", folder / "l.lst"
    root.mkdir(exist_ok=True)
    lines, images = [], []
    for number, kind in enumerate(kinds):
        path = root / f"{number}.jpg"
        if kind == NO_IMAGE:
            path.write_bytes(b"no image" * (1 + number % 7))
        elif kind != MISSING:
            path.write_bytes(encoded(texture(8 + number % 3, 9 + number % 5, seed=number)))
        lines.append(f"{number}\n" if kind == NO_LINE else f"{number}\t{number % 3}\t{path.name}\n")
        images += [] if kind else [str(path)]
    listed.write_text("".join(lines))
    if classes:
        (folder / "l.classes.txt").write_text("0\n1\n2\n")

    def run(out: Path, **more: bool) -> None:
        with steps.taken():
            pack(listed, root, out / "o.rec", params, replace(options, **more))

    rec = "o.rec" if params.nsplit == 1 else f"o.rec.part{params.part:03d}"
    group = rec, f"{rec.removesuffix('.rec')}.idx", f"{rec}.digest", f"{rec}.json"
    return Job(
        run,
        before or {},
        group,
        tuple(images) if params.nsplit == 1 else (),
        (OutputStream,),
        functools.partial(run, restart=True),
    )


def old_files(job: Job) -> State:
    """Return files of the names that *job* writes, as if of another pack, with all that belongs to one."""
    return {name: b"old " + name.encode() for name in (*job.group, f"{job.group[0]}.bad.jsonl")}


def drawn_job(rng: random.Random, folder: Path) -> Job:
    """Draw a pack: keys, options, bad images and old files."""
    count, share = rng.randint(3, 40), rng.choice([0, 0, 0.1, 0.5])
    bad = [rng.choice([MISSING, NO_IMAGE, NO_LINE]) if rng.random() < share else OK for _ in range(count)]
    bad[0] = OK  # where all of the first ten are bad, a pack ends
    keys: dict[str, Any] = rng.choice([{"unchanged": True}, {"unchanged": True}, {"resize": 6}, {"encoding": ".png"}])
    if rng.random() < 0.2:
        nsplit = rng.randint(2, 4)
        keys = keys | {"nsplit": nsplit, "part": rng.randrange(nsplit)}
        bad = [OK] * count  # a part in which all are bad is an error
    options = PackOptions(workers=1, max_bad="100%", digest=rng.random() < 0.3, force=rng.random() < 0.4)
    buffer = rng.choice([1 << 20, 1 << 20, 500])
    steps = Steps(rng.choice([1, 2, 4, 16]), rng.choice([0, 0, 10]), rng.choice([0, 0, 20, 1000]), buffer)
    job = pack_job(folder, bad, PackParams(**keys), options, steps=steps, classes=rng.random() < 0.3)
    return replace(job, before=old_files(job)) if options.force else job


# Cases.

BEGINNING, MIDDLE, END = "without a record", "in the middle", "among the final names"


class Outcome(NamedTuple):
    """The number of power losses by where they struck, and sentences on what is wrong."""

    losses: Counter[str]
    problems: list[str]


def run_case(seed: int, number: int, tries: int = 8) -> Outcome:
    """Run case *number* of *seed*: a drawn pack, which loses power in *tries* ways."""
    rng = random.Random(f"{seed} {number}")
    outcome = Outcome(Counter(), [])
    with tempfile.TemporaryDirectory() as name:
        inputs, out = Path(name) / "in", Path(name) / "out"
        inputs.mkdir()
        out.mkdir()
        replay = Replay(drawn_job(rng, inputs), out)
        for at in range(tries):
            story = Story(replay, rng, outcome.losses)
            if problem := story.problem():
                outcome.problems.append(f"case {number}, try {at}: {'; '.join(story.steps)}: {problem}")
    return outcome


class Story:
    """One to four kills or power losses of a job, some after another failure; the last is a power loss."""

    def __init__(self, replay: Replay, rng: random.Random, losses: Counter[str]) -> None:
        self._replay, self._rng, self._losses = replay, rng, losses
        self.steps: list[str] = []

    def problem(self) -> str:
        """Return what is wrong with it, or empty text. ``steps`` are sentences on what happened."""
        replay, rng = self._replay, self._rng
        history = self._cut(replay.history)
        for _ in range(rng.choice([0, 0, 1, 2, 3])):
            if rng.random() < 0.6:
                history = History(self._lose_power(history))
            state = history.disk().now()
            if state == replay.expected:
                return ""
            if problem := replay.problem_of(state):
                return problem
            history, problem = self._go_on(history)
            if problem:
                return problem
            history = self._cut(history)
        *_, (_, _, safe) = replay.moments(history)
        return replay.problem_from(self._lose_power(history), safe)

    def _go_on(self, history: History) -> tuple[History, str]:
        """Run the job once more, perhaps from the beginning, perhaps up to a full disk or an interrupt.

        Return the history and the error that there should not be, if any.
        """
        rng = self._rng
        after, full = len(history.operations) + rng.randrange(60), rng.random() < 0.5
        failure = Failure(after, full=full) if rng.random() < 0.4 else None
        restart = rng.random() < 0.15
        self.steps.append(f"{'restarted' if restart else 'gone on'} with {failure}")
        history, problem = self._replay.run_on(history, failure, restart=restart)
        # Among the last renames, a pack that is to begin again meets its own .rec. It must leave all as it is then.
        return history, "" if restart and "o.rec" in problem and "exists already" in problem else problem

    def _cut(self, history: History) -> History:
        """Return *history* up to a drawn moment; the last third, where the files get their names, is less frequent."""
        moment = self._rng.randint(0, len(history.operations) * self._rng.choice([2, 2, 3]) // 3)
        self.steps.append(f"killed after {moment} of {len(history.operations)} operations")
        return history.up_to(moment)

    def _lose_power(self, history: History) -> State:
        """Return what is left after *history*."""
        rng, replay = self._rng, self._replay
        loss = Loss.drawn(rng) if rng.random() < 0.8 else rng.choice(PLAIN_LOSSES)
        state = history.disk().after(loss, rng)
        self.steps.append(f"{loss}, which leaves { ({name: len(content) for name, content in state.items()}) }")
        is_end = any(name in state and state[name] == replay.expected.get(name) for name in replay.job.group)
        has_records = any(whole_records(content) for name, content in state.items() if name == replay.job.partial)
        self._losses[END if is_end else MIDDLE if has_records else BEGINNING] += 1
        return state


def run_all(seed: int, numbers: Iterable[int], jobs: int = 1) -> Outcome:
    """Run the cases *numbers* of *seed*, in *jobs* processes."""
    total = Outcome(Counter(), [])
    run = functools.partial(run_case, seed)
    with concurrent.futures.ProcessPoolExecutor(jobs) if jobs > 1 else contextlib.nullcontext() as pool:
        for outcome in pool.map(run, numbers, chunksize=10) if pool else map(run, numbers):
            total.losses.update(outcome.losses)
            total.problems.extend(outcome.problems)
    return total


def main() -> int:
    """Run the command; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--case", type=int, metavar="N", help="only case N")
    options = parser.parse_args()
    started = time.monotonic()
    numbers = range(options.cases) if options.case is None else [options.case]
    outcome = run_all(options.seed, numbers, options.jobs)
    sys.stderr.writelines(f"{problem}\n" for problem in outcome.problems[:20])
    losses = ", ".join(f"{outcome.losses[where]:,} {where}" for where in (BEGINNING, MIDDLE, END))
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"{len(numbers):,} packs lost power {outcome.losses.total():,} times: {losses};"
        f" {len(outcome.problems):,} were not right after that; {seconds:.0f} s\n"
    )
    return bool(outcome.problems)


if __name__ == "__main__":
    sys.exit(main())
