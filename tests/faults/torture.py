"""Stop packs at random, by kill -9, signals and full disks, go on with each, and compare with an undisturbed run.

    python tests/faults/torture.py --kills 300 --disks 50 --seed 1 --jobs 2

Prints a table in Markdown, and a line for each case that is wrong, with what repeats it: ``--show k12`` runs case 12
of the kills, ``s0.7a`` the kill after step 7 of sweep 0, ``d9`` full disk 9, and prints the diary of it. A stop is
placed by the size of the unfinished file, so that it comes at nearly the same moment again. Full disks need Linux, and
the right to mount: as root, or by ``unshare``. ``test_torture.py`` runs a slice of it.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.torture_disks import disk_case
from faults.torture_packs import SMALL, RandomPack, Reference, Sizes, make_pack, make_reference
from faults.torture_runs import (
    GROUP,
    KILLS_BY_SIZE,
    PARENT,
    PLACES,
    STEP,
    TOO_MANY,
    WORKER,
    Case,
    Hit,
    Outcome,
    Stop,
    chain,
    spread_share,
)

CASES_OF_A_PACK = 5
KINDS = {PARENT: 42, GROUP: 33, WORKER: 15, "SIGINT": 3, "SIGTERM": 3, "SIGHUP": 2, TOO_MANY: 5}
SWEEPS = (("--digest",), ("--digest", "--force"), ("--digest",), ())  # words of the packs
GOES_ON_FIRST = 2  # the number of the sweep whose packs have been killed in the middle before
IN_NAMESPACE = "TORTURE_IN_NAMESPACE"
Ready = tuple[RandomPack, Reference]


# Cases.


def ready(seed: int, name: str, folder: Path, sizes: Sizes, *more: str, plain: bool = False) -> Ready:
    """Return the random pack *name* of *seed*, and its reference."""
    made = make_pack(random.Random(f"{seed} {name}"), folder / name, sizes, *more, plain=plain)
    return made, make_reference(made, folder / f"{name}-reference")


def kill_case(seed: int, number: int, pack: Ready, folder: Path) -> Outcome:
    """Run case *number* of the kills."""
    rng = random.Random(f"{seed} kill {number}")
    made, _ = pack
    kinds = dict(KINDS)
    if "unchanged=1" in made.words and "--verify" not in made.words:
        del kinds[WORKER]  # threads
    (kind,) = rng.choices(list(kinds), list(kinds.values()))
    return guarded(
        f"k{number}", *pack, folder, rng, lambda case: case.run(list(chain(rng, kind, spread_share(number))))
    )


def step_case(seed: int, sweep: int, step: int, when: str, pack: Ready, folder: Path) -> Outcome:
    """Run the kill *when* (``before`` or ``after``) step number *step* of *sweep*."""
    rng = random.Random(f"{seed} sweep {sweep} {step} {when}")
    stops = [Stop(PARENT, rng.uniform(0.1, 0.8))] if sweep == GOES_ON_FIRST else []
    stops.append(Stop(STEP, step=step, when=when))

    def run(case: Case) -> Outcome:
        case.seconds = 0.0
        return case.run(stops)

    return guarded(f"s{sweep}.{step}{when[0]}", *pack, folder, rng, run)


def guarded(
    name: str, made: RandomPack, reference: Reference, folder: Path, rng: random.Random, run: Callable[[Case], Outcome]
) -> Outcome:
    """Run a case, whose own failure must not hide the others."""
    case = Case(name, made, reference, folder / name, rng)
    try:
        return run(case)
    except Exception:  # noqa: BLE001
        case.outcome.problems.append(traceback.format_exc(limit=-2))
        return case.outcome
    finally:
        case.remove()


def kill_pack(seed: int, number: int) -> list[Outcome]:
    """Run the cases of pack *number* of the kills."""
    with tempfile.TemporaryDirectory() as name:
        pack = ready(seed, f"pack{number}", Path(name), Sizes())
        numbers = range(number * CASES_OF_A_PACK, (number + 1) * CASES_OF_A_PACK)
        return [kill_case(seed, case, pack, Path(name)) for case in numbers]


def sweep_all(seed: int, sweep: int) -> list[Outcome]:
    """Run all of *sweep*."""
    with tempfile.TemporaryDirectory() as name:
        pack = ready(seed, f"sweep{sweep}", Path(name), SMALL, *SWEEPS[sweep], plain=True)
        return list(sweep_steps(seed, sweep, pack, Path(name)))


def sweep_steps(seed: int, sweep: int, pack: Ready, folder: Path) -> Iterator[Outcome]:
    """Yield the outcomes of kills before and after each step, until a run has no more steps."""
    for step in itertools.count(1):
        pair = [step_case(seed, sweep, step, when, pack, folder) for when in ("before", "after")]
        yield from (outcome for outcome in pair if not outcome.too_late or outcome.problems)
        if all(outcome.too_late for outcome in pair):
            return


def disk(seed: int, number: int) -> list[Outcome]:
    """Run full disk *number*."""
    with tempfile.TemporaryDirectory() as name:
        pack = ready(seed, f"disk{number}", Path(name), Sizes())
        rng = random.Random(f"{seed} full {number}")
        return [guarded(f"d{number}", *pack, Path(name), rng, disk_case)]


def show(seed: int, word: str) -> Outcome:
    """Run the case that *word* names."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if word.startswith("k"):
            number = int(word[1:])
            pack = ready(seed, f"pack{number // CASES_OF_A_PACK}", folder, Sizes())
            return kill_case(seed, number, pack, folder)
        if word.startswith("d"):
            return disk(seed, int(word[1:]))[0]
        sweep, _, step = word[1:-1].partition(".")
        pack = ready(seed, f"sweep{sweep}", folder, SMALL, *SWEEPS[int(sweep)], plain=True)
        return step_case(seed, int(sweep), int(step), "before" if word.endswith("b") else "after", pack, folder)


# All of them.


def run_all(seed: int, kills: int, disks: int, sweeps: int, jobs: int) -> Iterator[Outcome]:
    """Yield the outcomes of the sweeps, the full disks, and as many packs as have *kills* kills."""
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        work = [pool.submit(sweep_all, seed, sweep) for sweep in range(sweeps)]
        work += [pool.submit(disk, seed, number) for number in range(disks)]
        for done in concurrent.futures.as_completed(work):
            yield from done.result()
        found, packs = 0, itertools.count()
        running: set[concurrent.futures.Future[list[Outcome]]] = set()
        while found < kills:
            running |= {pool.submit(kill_pack, seed, next(packs)) for _ in range(jobs - len(running))}
            done_now, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done_now:
                outcomes = future.result()
                found += sum(hit.kind in KILLS_BY_SIZE for outcome in outcomes for hit in outcome.hits)
                yield from outcomes
        for future in running:
            yield from future.result()


def table(outcomes: list[Outcome]) -> str:
    """Return a table in Markdown: a row for each way to stop a run, a column for each moment.

    A run is neither gone on with nor begun again if only a worker was killed, nothing was written, or the run after it
    was stopped before that could be seen.
    """
    head = ["stopped by", "stops", *PLACES, "gone on with", "begun again", "wrong"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    by_kind: dict[str, list[tuple[Hit, bool]]] = collections.defaultdict(list)
    for outcome in outcomes:
        for hit in outcome.hits:
            by_kind[hit.kind].append((hit, bool(outcome.problems)))
    for kind, hits in sorted(by_kind.items()):
        places = collections.Counter(hit.where for hit, _ in hits)
        ways = collections.Counter(hit.went_on for hit, _ in hits)
        counts = [len(hits), *(places[place] for place in PLACES), ways[True], ways[False]]
        counts.append(sum(is_wrong for _, is_wrong in hits))
        rows.append([kind, *map(str, counts)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


# The command.


def enter_namespace() -> bool:
    """Start this program again where it may mount, and where mounts end with it; False if that cannot be done."""
    unshare = shutil.which("unshare")
    flags = "-m" if hasattr(os, "geteuid") and os.geteuid() == 0 else "-rm"
    if IN_NAMESPACE not in os.environ and unshare is not None:
        if subprocess.run([unshare, flags, "true"], check=False, capture_output=True).returncode:
            return False
        os.environ[IN_NAMESPACE] = "1"
        os.execv(unshare, [unshare, flags, sys.executable, *sys.argv])
    return IN_NAMESPACE in os.environ


def main() -> int:
    """Run the command; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300, help="by the size of the file; each pack has some")
    parser.add_argument("--disks", type=int, default=50, help="packs on a full disk")
    parser.add_argument("--sweeps", type=int, default=len(SWEEPS), help="packs that are killed at every step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="packs at once")
    parser.add_argument("--show", metavar="CASE", help="run one case and print its diary")
    options = parser.parse_args()
    disks, started = options.disks, time.monotonic()
    if (disks or options.show) and not enter_namespace():
        sys.stderr.write("no full disks: nothing can be mounted here\n")
        disks = 0
    if options.show:
        outcome = show(options.seed, options.show)
        sys.stdout.writelines(f"{line}\n" for line in (*outcome.diary, *(f"* {line}" for line in outcome.problems)))
        return bool(outcome.problems)
    outcomes = []
    for outcome in run_all(options.seed, options.kills, disks, options.sweeps, options.jobs):
        outcomes.append(outcome)
        if outcome.problems:
            repeated = f"torture.py --seed {options.seed} --show {outcome.case}"
            sys.stderr.write(f"{repeated}: {'; '.join(outcome.problems)[:600]}\n")
            sys.stderr.flush()
    sys.stdout.write(f"{table(outcomes)}\n")
    wrong, late = (sum(map(bool, map(count, outcomes))) for count in (lambda it: it.problems, lambda it: it.too_late))
    lost = sorted(hit.lost for outcome in outcomes for hit in outcome.hits if hit.lost is not None) or [0]
    sys.stderr.write(
        f"{wrong} of {len(outcomes)} cases wrong, in {late} a stop came too late; written again after a stop: "
        f"{lost[len(lost) // 2]} bytes in the median, {lost[-1]} at most; {time.monotonic() - started:.0f} s\n"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
