"""Runs of a random pack that are stopped, and gone on with, for ``torture.py``."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faults.torture_packs import (
    DEADLINE_S,
    UNFINISHED,
    RandomPack,
    Reference,
    copied,
    environment,
    files_in,
    partial_size,
    spoil,
    summary_of,
    wrong_at_end,
    wrong_between,
)
from faults.torture_steps import NAMES
from image_helpers import Ran, processes

PARENT, GROUP, WORKER = KILLS_BY_SIZE = ("kill -9 parent", "kill -9 group", "kill -9 worker")
STEP, BETWEEN, FULL = "kill -9 at other steps", "kill -9 between renames", "full disk"
SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143}
TOO_MANY = "--max-bad reached"
BY_THEMSELVES = (STEP, TOO_MANY)
BEFORE, START, MIDDLE = "before the first record", "below 10 %", "10 to 90 %"
END, AFTER = "above 90 %", "after the last record"
PLACES = (BEFORE, START, MIDDLE, END, AFTER)
STEPS = Path(__file__).with_name("torture_steps.py")
POLL_S = 0.0005
# Of what was written in the last seconds before a stop, it is not asked that a run goes on from there: states are saved
# once a second at least.
LAG_S = 2.0
RUN_S = (0.0, 3.0, 6.0)  # about the time that a run takes to read its images
AT_ONCE = 0.02  # below this share a run is stopped at a time after its start, written or not


@dataclass(frozen=True)
class Stop:
    """The way and the moment of one stop: *share* of the final size that is to be written, and *later_s* after that."""

    kind: str
    share: float = 0.0
    later_s: float = 0.0
    step: int = 0
    when: str = "before"
    counted: str = "all"

    def __str__(self) -> str:
        if self.kind == STEP:
            return f"kill -9 {self.when} step {self.step}"
        return f"{self.kind} at {self.share:.0%} and {1000 * self.later_s:.0f} ms"


@dataclass
class Hit:
    """A stop that was in time, with *size* bytes written.

    *went_on* says whether the next run went on or began again, None if that run did not come far enough to tell. *lost*
    is the number of bytes that it wrote again.
    """

    kind: str
    share: float
    where: str
    size: int = 0
    went_on: bool | None = None
    lost: int | None = None


@dataclass
class Outcome:
    """The result of one case: the stops that were in time, problems, and a diary."""

    case: str
    hits: list[Hit] = field(default_factory=list)
    too_late: int = 0
    problems: list[str] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.diary.append(text)


class Case:
    """One random pack, in a folder of its own, that is stopped several times and then gone on with to the end."""

    def __init__(self, name: str, made: RandomPack, reference: Reference, folder: Path, rng: random.Random) -> None:
        self.made, self.reference, self.rng = made, reference, rng
        self.folder = copied(made, folder)
        self.out = self.folder / "out"
        self.outcome = Outcome(name)
        self.words = [*made.words, "--json", "-q"]
        self.log = self.folder / "steps.log"
        self.seconds = rng.choice(RUN_S)
        self.lag_s = LAG_S
        self.kept = self.found = 0
        self.sizes = [(time.monotonic(), 0)]  # of the unfinished file, by time, in the run that is stopped next
        self.processes: list[subprocess.Popen[bytes]] = []
        self.spoilt: set[int] = set()

    def run(self, stops: list[Stop]) -> Outcome:
        """Stop the pack at each of *stops*, go on, and compare the end with the reference."""
        ran: Ran | None = None
        process = self.start(next(iter(stops), None))
        try:
            for stop, following in zip(stops, [*stops[1:], None], strict=False):
                ran = self.stopped(process, stop)
                if ran is not None:
                    break
                if stop.kind != WORKER:
                    process = self.start(following)
            ran = ran or self.ended(process)
        finally:
            self.kill_all()
        self.outcome.note(f"ended with {ran.code}: {ran.err.strip()}")
        self.judge_end(ran)
        return self.outcome

    def start(self, stop: Stop | None = None) -> subprocess.Popen[bytes]:
        """Start the words of this case with a random number of workers, ready to be stopped by *stop*."""
        workers = self.rng.randint(1, 4) if stop is None or stop.kind != WORKER else 3
        words = [*self.words, "--workers", str(workers)]
        at, seconds = ["all", "0", "before"], 0.0
        if stop is not None:
            at, seconds = [stop.counted, str(stop.step), stop.when], self.seconds * workers / self.reference.images
            if stop.kind == TOO_MANY:
                bad = sum(self.reference.summary["bad"].values())
                words[words.index("--max-bad") + 1] = str(int(stop.share * bad))
        code = ["-m", "im2rec"]
        if (stop is not None and stop.step) or seconds:
            self.log.unlink(missing_ok=True)
            code = [str(STEPS), *at, str(self.log), str(self.out), "root", f"{seconds:.6f}"]
        self.outcome.note(f"im2rec {shlex.join(words)}{f', {seconds:.4f} s for an image' if seconds else ''}")
        # Not pipes: a worker that outlives its parent for a moment holds them open, and the next run must not wait.
        with self.printed("stdout").open("wb") as out, self.printed("stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, *code, *words],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.processes.append(process)
        # What was written after the last state is there and will be cut off: until then it is not counted.
        self.found, self.sizes = self.written(), [(time.monotonic(), self.kept)]
        return process

    def written(self) -> int:
        """Return the size of the ``.rec``, be it unfinished or finished."""
        with contextlib.suppress(FileNotFoundError):
            if (self.out / self.made.names.rec).stat().st_size == self.reference.size:
                return self.reference.size
        return partial_size(self.out, self.made.names.rec)

    def look(self) -> int:
        """Return :meth:`written`, and note when it was that."""
        size = self.written()
        if size not in (self.found, self.sizes[-1][1]):
            self.sizes.append((time.monotonic(), size))
        return size

    def ended(self, process: subprocess.Popen[bytes]) -> Ran:
        """Wait for the end of *process*; one that hangs is killed."""
        end = time.monotonic() + DEADLINE_S
        while process.poll() is None:
            self.look()
            if time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)
                self.outcome.problems.append("hangs")
            time.sleep(POLL_S)
        return Ran(process.returncode, *(self.printed(name, -1).read_text() for name in ("stdout", "stderr")))

    def printed(self, stream: str, run: int = 0) -> Path:
        """Return the file of what the next run prints, or the last one with *run* -1."""
        return self.folder / f"{stream}{len(self.processes) + run}"

    def stopped(self, process: subprocess.Popen[bytes], stop: Stop) -> Ran | None:
        """Stop *process*, and judge what is left. Returns the end of a run that ended before."""
        if stop.kind not in BY_THEMSELVES and not (self.reached(process, stop) and self.send(process, stop)):
            self.outcome.too_late += 1
            return self.ended(process)
        if stop.kind == WORKER:
            self.hit(stop)
            return None
        ran = self.ended(process)
        if stop.kind in BY_THEMSELVES and ran.code != (1 if stop.kind == TOO_MANY else -signal.SIGKILL):
            self.outcome.too_late += 1
            return ran
        if stop.kind in SIGNALS:
            if ran.code != SIGNALS[stop.kind]:
                self.outcome.too_late += 1
                return ran
            self.take_printed_words(ran)
        if files_in(self.out) == self.reference.files:  # all is done: the same words would begin another run
            self.outcome.too_late += 1
            return Ran(self.reference.code, "", "killed when all was done")
        self.hit(stop)
        self.judge_between()
        return None

    def reached(self, process: subprocess.Popen[bytes], stop: Stop) -> bool:
        """Wait until *process* has written the share of *stop*; False if it ends before."""
        wanted = 0 if stop.share < AT_ONCE else int(stop.share * self.reference.size)
        end = time.monotonic() + DEADLINE_S
        while self.look() < wanted:
            if process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        time.sleep(stop.later_s)
        return process.poll() is None

    def send(self, process: subprocess.Popen[bytes], stop: Stop) -> bool:
        """Send the signal of *stop*; False if there is nothing to send it to."""
        with contextlib.suppress(ProcessLookupError):
            if stop.kind == WORKER:
                workers = workers_of(process.pid)
                if not workers:
                    return False
                os.kill(self.rng.choice(workers), signal.SIGKILL)
            elif stop.kind == GROUP:
                os.killpg(process.pid, signal.SIGKILL)
            elif stop.kind == PARENT:
                process.kill()
            elif self.rng.random() < 0.5:  # a terminal sends it to the group, kill to the process
                os.killpg(process.pid, getattr(signal, stop.kind))
            else:
                process.send_signal(getattr(signal, stop.kind))
            return True
        return False

    def take_printed_words(self, ran: Ran) -> None:
        """Go on with the command that a run printed which a signal ended."""
        lines = ran.err.splitlines()
        self.outcome.note(f"ended with {ran.code}: {ran.err.strip()}")
        if len(lines) != 1 or ": im2rec pack " not in lines[0]:
            self.outcome.problems.append(f"prints no command, or more than a line: {ran.err!r}")
            return
        printed = shlex.split(lines[0].partition(": im2rec ")[2])
        at = printed.index("--workers")
        self.words = [*printed[:at], *printed[at + 2 :]]

    def hit(self, stop: Stop) -> None:
        """Note where *stop* came, and spoil the images that the rest of the run must not read again."""
        size = self.look()
        self.compare_sizes()
        hit = Hit(stop.kind, size / self.reference.size, self.place(size), size)
        self.outcome.hits.append(hit)
        self.outcome.note(f"{stop}: {size} bytes of {self.reference.size}, {hit.share:.1%}")
        if stop.kind == WORKER:
            return
        if stop.kind == STEP and self.is_between_renames(stop):
            hit.kind = BETWEEN
        self.kept = self.reference.size if hit.kind == BETWEEN else self.surely_kept()
        ready = {segment for segment, end in self.reference.ends.items() if end <= self.kept}
        for segment in ready - self.spoilt:
            spoil(self.folder / "root", segment)
        self.spoilt |= ready
        self.outcome.note(
            f"{self.kept} bytes must be kept, {len(self.spoilt)} of {len(self.reference.ends)} segments are spoilt"
        )

    def surely_kept(self) -> int:
        """Return the size from which the next run must go on at the latest."""
        now = time.monotonic()
        if now - self.sizes[0][0] < self.lag_s:
            return self.kept
        before = [size for at, size in self.sizes if at <= now - self.lag_s]
        return min([*before[-1:], *(size for at, size in self.sizes if at > now - self.lag_s)])

    def compare_sizes(self) -> None:
        """Note whether the run after the last stop went on: the unfinished file was then never empty."""
        hits = [hit for hit in self.outcome.hits if hit.kind != WORKER]
        if hits and hits[-1].size and hits[-1].went_on is None:
            sizes = [size for _, size in self.sizes[1:]]
            hits[-1].went_on = False if 0 in sizes else True if sizes else None

    def place(self, size: int) -> str:
        """Return the column of the table for a stop at *size* bytes."""
        if size >= self.reference.size:
            return AFTER
        if size < self.reference.offsets[1]:
            return BEFORE
        share = size / self.reference.size
        return START if share < 0.1 else MIDDLE if share <= 0.9 else END

    def is_between_renames(self, stop: Stop) -> bool:
        """True if a final name had changed at the step, and unfinished files were still there."""
        steps = self.log.read_text().splitlines()
        self.outcome.note(f"the steps were {steps}")
        done = [step.split() for step in (steps if stop.when == "after" else steps[:-1])]
        final = {name for _, word, *names in done if word in NAMES for name in names if not name.endswith(UNFINISHED)}
        return bool(final) and any(path.name.endswith(UNFINISHED) for path in self.out.iterdir())

    def judge_between(self) -> None:
        self.outcome.problems += wrong_between(self.made, self.reference, self.out)

    def judge_end(self, ran: Ran) -> None:
        """Compare the end with the reference, and note whether the last run went on."""
        summary = summary_of(ran.out)
        problems = wrong_at_end(self.reference, self.out, ran.code, summary)
        if problems and ran.code not in (0, 3):
            problems.append(ran.err.strip())
        self.outcome.problems += problems
        self.compare_sizes()
        hits = [hit for hit in self.outcome.hits if hit.kind != WORKER]
        if hits and "resumed" in summary and not self.outcome.too_late:
            hits[-1].went_on = bool(summary["resumed"])
            hits[-1].lost = hits[-1].size - [0, *self.reference.offsets[1:]][summary["resumed"]]
            self.outcome.note(f"went on from image {summary['resumed']}, {hits[-1].lost} bytes before the stop")
        if left := [pid for process in self.processes for pid in still_running(process.pid)]:
            self.outcome.problems.append(f"processes outlive the run: {left}")
        for file in self.folder.glob("stderr*"):
            if "File " in (text := file.read_text()):
                self.outcome.problems.append(f"a traceback is printed: {text}")

    def kill_all(self) -> None:
        """Kill whatever of this case still runs: after a failure of the program itself."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a run: the children of its fork server."""
    return [worker for server in processes(parent=pid) for worker in processes(parent=server)]


def still_running(group: int) -> list[int]:
    """Return the processes of *group* that do not end within a while."""
    end = time.monotonic() + 20
    while (left := processes(group)) and time.monotonic() < end:
        time.sleep(0.01)
    return left


# Moments.

GOLDEN_RATIO = 0.6180339887498949


def spread_share(number: int) -> float:
    """Return the share at which case *number* is stopped first: evenly spread, nine in ten between 0.1 and 0.9."""
    place = (number * GOLDEN_RATIO) % 1
    if place < 0.05:
        return 2 * place
    if place > 0.95:
        return 0.9 + 2 * (place - 0.95)
    return 0.1 + (place - 0.05) / 0.9 * 0.8


def chain(rng: random.Random, kind: str, share: float) -> Iterator[Stop]:
    """Yield a stop and, now and then, one or two more that come later."""
    yield Stop(kind, share, rng.uniform(0, 0.5) if share < AT_ONCE else rng.uniform(0, 0.02))
    while rng.random() < 0.35 and share < 0.75:
        share += (0.95 - share) * rng.uniform(0.2, 0.8)
        yield Stop(rng.choice([PARENT, GROUP]), share, rng.uniform(0, 0.02))
