"""Fuzz all parsers, or one, for some seconds; replay saved inputs.

    make fuzz SECONDS=60 [TARGET=frames] [SEED=1]
    PYTHONPATH=tests python -m fuzz --replay tests/fuzz/findings/FILE...

Each parser runs in a process of its own, which writes down every input before it is run: so one that ends or hangs the
process is found too. Where atheris is installed, it makes the inputs, led by the code that they reach; else, and with
``--own``, our own mutations do.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fuzz import by_atheris
from fuzz.harness import FINDINGS, MOST_BYTES, Finding, Outcome, Problem, fuzz, minimised, replay, resource
from fuzz.parsers import Place, new_folder
from fuzz.targets import TARGETS, Target

MINIMISE_S = 10.0  # for each finding
HANG_S = 120.0  # without a new input, after which the process of a parser is ended
_MOST_ADDRESS_SPACE = 16 << 30  # so that a fault does not fill the memory of the machine
_POLL_S = 0.25
_HEAD_BYTES = 16  # of the written input: its number and its size
_SHOWN = 100  # characters of a problem in a line of the summary


class Written:
    """The input that is being run, in a file that both processes map: its number, its size, its bytes."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(_HEAD_BYTES + MOST_BYTES)
            self._map = mmap.mmap(file.fileno(), 0)
        self._number = 0

    def write(self, data: bytes) -> None:
        """Write the next input."""
        self._number += 1
        size = len(data).to_bytes(8, "little")
        self._map[_HEAD_BYTES : _HEAD_BYTES + len(data)] = data
        self._map[:_HEAD_BYTES] = self._number.to_bytes(8, "little") + size

    def number(self) -> int:
        """Return the number of the input that was written last."""
        return int.from_bytes(self._map[:8], "little")

    def read(self) -> bytes:
        """Return that input."""
        return self._map[_HEAD_BYTES : _HEAD_BYTES + int.from_bytes(self._map[8:16], "little")]


def main() -> int:
    """Return 0 if nothing was found, else 1."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for all parsers together")
    parser.add_argument("--target", choices=sorted(TARGETS), help="only this parser")
    parser.add_argument("--seed", type=int, default=None, help="of the mutations; by default another one each time")
    parser.add_argument("--own", action="store_true", help="no atheris")
    parser.add_argument("--replay", nargs="+", type=Path, metavar="FILE", help="run saved inputs once more")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        return _replay_all(options.replay)
    if options.child:
        _run_child(TARGETS[options.target], options, *options.child)
    seed = int(time.time()) if options.seed is None else options.seed
    targets = [options.target] if options.target else list(TARGETS)
    leader = "atheris" if by_atheris.is_installed() and not options.own else "own mutations"
    sys.stdout.write(f"seed {seed}, {leader}; findings are saved in {_shown_path(FINDINGS)}\n")
    found = 0
    for name in targets:
        found += _supervise(name, options.seconds / len(targets), seed, own=options.own)
    return 1 if found else 0


def _replay_all(paths: Sequence[Path]) -> int:
    failed = 0
    for path in paths:
        problem = replay(path)
        failed += problem is not None
        sys.stdout.write(f"{path}: {problem.text if problem else 'fine'}\n")
    return 1 if failed else 0


# The parent: starts the process of a parser again and again, until its time is over.


def _supervise(name: str, seconds: float, seed: int, *, own: bool) -> int:
    """Fuzz the target *name*; print a line, save what was found, and return the number of findings."""
    begun, inputs, places, findings = time.monotonic(), 0, 0, {}
    with new_folder() as folder:
        current, results = Path(folder, "input"), Path(folder, "results")
        while (left := seconds - (time.monotonic() - begun)) > 0:
            current.write_bytes(b"")
            results.unlink(missing_ok=True)
            words = [f"--target={name}", f"--seconds={left}", f"--seed={seed}", "--child", current, results]
            end = _watched([*words, "--own"] if own else words, current)
            outcome = (
                json.loads(results.read_text()) if results.exists() else {"inputs": 0, "places": 0, "findings": []}
            )
            inputs, places = inputs + outcome["inputs"], max(places, outcome["places"])
            for kind, text, data in outcome["findings"]:
                findings[kind] = Finding(Problem(kind, text), bytes.fromhex(data))
            if end is not None:
                findings[end.problem.kind] = end
                inputs += Written(current).number()
            seed += 1
    rate = inputs / max(1e-9, time.monotonic() - begun)
    line = f"{name:10} {inputs:9,} inputs {rate:8,.0f}/s {places:4} places of errors {len(findings):3} findings\n"
    sys.stdout.write(line)
    for finding in findings.values():
        _save(name, finding)
    sys.stdout.flush()
    return len(findings)


def _watched(words: Sequence[Any], current: Path) -> Finding | None:
    """Run a process with *words*; return the input by which it ended before its time, or by which it hangs."""
    written = Written(current)
    command = [sys.executable, "-m", "fuzz", *map(str, words)]
    # Libraries may print a lot: into a file, as a pipe that nobody reads would be full and stop the process.
    with tempfile.TemporaryFile() as errors, subprocess.Popen(command, stdout=errors, stderr=errors) as process:
        number, since = 0, time.monotonic()
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
            if written.number() != number:
                number, since = written.number(), time.monotonic()
            elif time.monotonic() - since > HANG_S:
                process.kill()
                return Finding(Problem("hang", f"does not end within {HANG_S:.0f} s"), written.read())
        if process.returncode:
            errors.seek(0)
            last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            return Finding(Problem("crash", f"the process ends with {process.returncode}: {last}"), written.read())
    return None


def _save(name: str, finding: Finding) -> None:
    """Save the input of a finding, and print how to run it again."""
    FINDINGS.mkdir(exist_ok=True)
    stem = f"{name}-{hashlib.sha256(finding.problem.kind.encode()).hexdigest()[:10]}"
    path = FINDINGS / f"{stem}.bin"
    path.write_bytes(finding.data)
    (FINDINGS / f"{stem}.txt").write_text(f"{finding.problem.text}\n", encoding="utf-8")
    again = f"PYTHONPATH=tests {_shown_path(Path(sys.executable))} -m fuzz --replay {_shown_path(path)}"
    sys.stdout.write(f"  {finding.problem.text[:_SHOWN]}\n    {again}\n")


def _shown_path(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


# The child: runs one parser.


def _run_child(target: Target, options: Any, current: Path, results: Path) -> NoReturn:
    """Fuzz until the time is over, and end the process."""
    if resource is not None:
        with contextlib.suppress(ValueError, OSError):  # there is a lower limit already
            resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESS_SPACE, resource.RLIM_INFINITY))
    Place.path = current.parent  # which the parent removes, however this process ends
    written = Written(current)
    end = time.monotonic() + options.seconds

    def finish(outcome: Outcome) -> NoReturn:
        _report(target, outcome, written, results)
        sys.stdout.flush()
        os._exit(0)

    def goes_on(_: int) -> bool:
        return time.monotonic() < end

    if by_atheris.is_installed() and not options.own:
        by_atheris.fuzz(target, options.seed, goes_on=goes_on, announce=written.write, finish=finish)
    finish(fuzz(target, options.seed, goes_on=goes_on, announce=written.write, timed=True))


def _report(target: Target, outcome: Outcome, written: Written, results: Path) -> None:
    """Write the outcome, each finding made small for a while."""
    smallest = []
    for finding in outcome.findings.values():
        written.write(finding.data)  # a sign that the process is alive
        end = time.monotonic() + MINIMISE_S
        smallest.append(minimised(target, finding, goes_on=lambda end=end: time.monotonic() < end))
    findings = [(finding.problem.kind, finding.problem.text, finding.data.hex()) for finding in smallest]
    text = json.dumps({"inputs": outcome.inputs, "places": outcome.places, "findings": findings})
    aside = results.with_suffix(".tmp")
    aside.write_text(text)
    aside.replace(results)


if __name__ == "__main__":
    sys.exit(main())
