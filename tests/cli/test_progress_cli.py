"""What commands show of their work on a terminal: true to the end, in one line, and gone when the result is printed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from image_helpers import a_list_of_images, im2rec
from screen_helpers import PseudoTerminal, Screen, Terminal, needs_pty, pseudo_terminal

from im2rec.cli.group import main
from im2rec.cli.progress import Display

QUICK = "--seconds 0.02 --threads 1"


def on_terminal(terminal: Terminal | PseudoTerminal, line: str) -> tuple[int, str]:
    """Run ``im2rec`` with the arguments in *line*; return the exit code and the result, which goes elsewhere."""
    out = io.StringIO()
    stream = terminal.stream if isinstance(terminal, PseudoTerminal) else terminal
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(stream), pytest.raises(SystemExit) as stopped:
        main(shlex.split(line))
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, out.getvalue()


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder with images, a list, a ``.rec`` with digest, parts of a pack, and a verification file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("im2rec.cli.progress.DRAW_EVERY_S", 0.0)
    a_list_of_images(tmp_path, 6)
    for line in (
        "pack l.lst root a.rec unchanged=1 --digest",
        "pack l.lst root b.rec unchanged=1 nsplit=2 part=0",
        "pack l.lst root b.rec unchanged=1 nsplit=2 part=1",
    ):
        assert 0 == im2rec(*line.split()).code
    Path("pairs.txt").write_text("0.jpg 1.jpg 1\n2.jpg 3.jpg 0\n", encoding="ascii")
    assert 0 == im2rec("bin", "make", "pairs.txt", "root", "p.bin").code


# words -> the last state of each phase
SHOWN = {
    "make-list root --prefix m": ["finding: 6 images", "writing: 6 lines 100%"],
    "pack l.lst root o.rec": ["packing: 6 images 100%"],
    "pack l.lst root o.rec --dry-run": ["packing: 6 images 100%"],
    "pack l.lst root o.rec --workers 1 unchanged=1": ["packing: 6 images 100%"],
    "pack l.lst root faces --profile insightface": ["reading the list: 6 lines 100%", "packing: 6 images 100%"],
    "join b.rec.part* o.rec": ["joining: 6 records 100%"],
    "inspect a.rec": ["surveying: 6 records 100%"],
    "inspect a.rec --verify": [
        "surveying: 6 records 100%",
        "verifying: 6 records 100%",
        "checking the digest: 1 block 100%",
    ],
    "extract a.rec out": ["reading headers: 6 records 100%", "extracting: 6 records 100%"],
    "extract a.rec out --to tar": ["reading headers: 6 records 100%", "extracting: 6 records 100%"],
    "iterate a.rec --batch-size 2 --data-shape 3,8,8": ["iterating: 6 images 100%"],
    "iterate a.rec --batch-size 4 --data-shape 3,8,8 round_batch=0": ["iterating: 6 images 100%"],
    "index a.rec --force": ["indexing: 6 records 100%"],
    "recover a.rec o.rec": ["recovering: 6 records 100%"],
    "recover a.rec o.rec --repair-from a.rec": ["comparing: 1 block 100%", "indexing: 6 records 100%"],
    "digest a.rec --force": ["hashing: 6 records 100%"],
    "select a.rec o.rec --sample 4": ["reading headers: 6 records 100%", "copying: 4 records 100%"],
    "select a.rec o.rec --decodable --sample 4": [
        "reading headers: 6 records 100%",
        "verifying: 6 records 100%",
        "copying: 4 records 100%",
    ],
    "merge a.rec b.rec.part000 b.rec.part001 o.rec": ["reading labels: 3 sets 100%", "merging: 12 images 100%"],
    "bin make pairs.txt root o.bin": ["checking: 4 images 100%", "writing: 4 images 100%"],
    "bin list p.bin": ["reading: 4 images 100%"],
    "bin extract p.bin out": ["extracting: 4 images 100%"],
    "bin verify p.bin": ["verifying: 4 images 100%"],
}


_BAR = re.compile(r"([a-z ,\d]+): [\d,]+ [a-z]+( +\d+%|(?= \d:\d\d))")


def last_states(screen: Screen) -> list[str]:
    """Return the last state of each phase that *screen* has shown, without bar and times."""
    last: dict[str, str] = {}
    for line in screen.bars:
        if found := _BAR.match(line):
            last.pop(found[1], None)
            last[found[1]] = re.sub(" +", " ", found[0])
    return [state for state in last.values() if not re.search(r": 0 \w+ 0%", state)]


@pytest.mark.parametrize("line", SHOWN)
def test_the_bars_of_a_command_end_with_all_that_was_done_and_are_removed(line: str) -> None:
    terminal = Terminal()
    code, out = on_terminal(terminal, line)

    assert code in (0, 3), terminal.getvalue()
    assert SHOWN[line] == last_states(terminal.screen)
    assert [] == [shown for shown in terminal.screen.lines if _BAR.search(shown)]
    assert out


# Commands with a set-up of their own.


def test_bench_names_what_it_times_and_counts_all_steps() -> None:
    terminal = Terminal()
    on_terminal(terminal, f"bench a.rec --batch-size 2 --data-shape 3,8,8 {QUICK}")
    states = last_states(terminal.screen)

    assert states[0].startswith("timing reading: ")
    assert any(state.startswith("timing decoding, 1 thread: ") for state in states)
    assert re.fullmatch(r"timing iterating, 1 thread: (\d+) steps 100%", states[-1])
    assert "steps/s" not in terminal.getvalue()


def test_bench_of_packing_names_what_it_times_and_counts_all_steps() -> None:
    terminal = Terminal()
    on_terminal(terminal, f"bench l.lst root {QUICK}")

    assert re.fullmatch(r"timing packing, 1 worker: (\d+) steps 100%", last_states(terminal.screen)[-1])


def test_a_pack_that_goes_on_begins_with_what_the_earlier_run_has_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    class StopError(Exception):
        pass

    def stop(_self: Display, count: int, _share: float) -> None:
        if count >= 3:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(Display, "__call__", stop)
        assert 1 == im2rec("pack", "l.lst", "root", "o.rec", "unchanged=1", "--workers", "1", "-q").code
    terminal = Terminal()
    on_terminal(terminal, "pack l.lst root o.rec unchanged=1 --workers 1")
    shown = [line for line in terminal.screen.bars if not line.startswith("packing: 0 images   0% |")]

    assert re.match(r"packing: 1 image  16% \|.*\| 0:00<\?$", shown[0])  # of the first chunk
    assert ["packing: 6 images 100%"] == last_states(terminal.screen)


# A damaged file, errors, quiet, JSON.


@pytest.mark.parametrize(
    "command",
    [
        "inspect a.rec --verify",
        "index a.rec --force",
        "digest a.rec --force",
        "extract a.rec out",
        "recover a.rec o.rec",
        "select a.rec o.rec",
    ],
)
def test_the_bars_of_a_file_that_ends_with_damage_reach_the_end_too(command: str) -> None:
    data = Path("a.rec").read_bytes()
    Path("a.rec").write_bytes(data + bytes(range(256)) * 40)
    terminal = Terminal()
    on_terminal(terminal, command)

    states = last_states(terminal.screen)
    assert states
    assert all(re.search(r": (6 records|1 block) 100%$", state) for state in states), states


def test_before_an_error_line_no_bar_is_left_and_none_has_said_100_percent() -> None:
    Path("l.lst").write_text("0\t0\t0.jpg\n1\t0\tno.jpg\n2\t0\t2.jpg\n", encoding="ascii")
    terminal = Terminal()
    code, out = on_terminal(terminal, "pack l.lst root o.rec unchanged=1 --on-error fail --workers 1")

    assert (1, "") == (code, out)
    assert terminal.screen.lines[0].startswith("im2rec: l.lst, line 2")
    assert "packing: " in terminal.getvalue()
    assert "100%" not in terminal.getvalue()


@pytest.mark.parametrize("quiet", ["-q", "-qq"])
def test_with_quiet_a_terminal_shows_nothing(quiet: str) -> None:
    terminal = Terminal()

    assert 0 == on_terminal(terminal, f"inspect a.rec {quiet}")[0]
    assert "" == terminal.getvalue()


def test_with_json_the_object_is_whole_beside_a_bar() -> None:
    terminal = Terminal()
    code, out = on_terminal(terminal, "inspect a.rec --json")

    assert 0 == code
    assert 6 == json.loads(out)["records"]
    assert ["surveying: 6 records 100%"] == last_states(terminal.screen)


# Pseudo terminals.


@needs_pty
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_on_a_pseudo_terminal_no_line_is_wrapped_and_nothing_is_left(columns: int) -> None:
    with pseudo_terminal(columns) as terminal:
        code, _ = on_terminal(terminal, "inspect a.rec --verify")

    assert 0 == code
    assert [] == terminal.screen.lines
    assert "\n" not in terminal.text
    assert "\x1b" not in terminal.text  # no colours, and nothing that a terminal may not know
    assert ["surveying", "verifying", "checking the digest"] == [
        state.partition(":")[0] for state in last_states(terminal.screen)
    ]
    assert all(len(line) <= min(80, columns - 3) for line in terminal.screen.drawn)


@needs_pty
@pytest.mark.parametrize("columns", [2, 3, 4, 12])
def test_a_terminal_that_is_too_narrow_for_a_bar_stays_clean(columns: int) -> None:
    with pseudo_terminal(columns) as terminal:
        on_terminal(terminal, "inspect a.rec")

    assert [] == terminal.screen.lines
    assert all(len(line) < columns for line in terminal.screen.drawn)


@needs_pty
def test_log_lines_of_the_iterator_stand_in_lines_of_their_own() -> None:
    with pseudo_terminal() as terminal:
        on_terminal(terminal, "iterate a.rec --batch-size 2 --data-shape 3,8,8")

    assert [line for line in terminal.screen.lines if line.startswith("a.rec: 6 records, ")]
    assert all(_BAR.match(line) or line in terminal.screen.lines for line in terminal.screen.bars)


_ENDED = """
import os, signal
from im2rec.cli import progress
progress.DRAW_EVERY_S = 0.0
real = progress._Bar.__call__
def call(self, count, share=None):
    real(self, count, share)
    os.kill(os.getpid(), signal.{name})
progress._Bar.__call__ = call
from im2rec.cli import main
from im2rec.cli.progress import Display
main(["pack", "l.lst", "root", "o.rec", "unchanged=1", "--workers", "1"])
"""


@needs_pty
@pytest.mark.parametrize(("name", "code", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_signal_removes_the_bar_before_its_line(name: str, code: int, word: str) -> None:
    with pseudo_terminal() as terminal:
        done = subprocess.run(
            [sys.executable, "-c", _ENDED.format(name=name)], stderr=terminal.descriptor, check=False, timeout=60
        )

    message = f"im2rec: {word}; to go on: im2rec pack l.lst root o.rec unchanged=1 --workers 1"
    assert (code, message) == (done.returncode, "".join(terminal.screen.lines))
    assert any(re.match(r"packing: 1 image  16% ", shown) for shown in terminal.screen.bars)
    assert "100%" not in terminal.text


@needs_pty
@pytest.mark.parametrize(
    "variable", ["DISABLE", "WRITE_BYTES", "LEAVE", "POSITION", "ASCII", "DELAY", "GUI", "DELAY=x"]
)
def test_what_is_set_for_bars_of_other_programs_stops_no_command(variable: str) -> None:
    """tqdm takes its arguments from the environment when it is imported, so this is a process of its own."""
    name, _, value = variable.partition("=")
    environment = {**os.environ, f"TQDM_{name}": value or "1"}
    with pseudo_terminal() as terminal:
        command = [sys.executable, "-m", "im2rec", "inspect", "a.rec"]
        done = subprocess.run(command, stderr=terminal.descriptor, env=environment, stdout=subprocess.PIPE, timeout=60)

    assert (0, []) == (done.returncode, terminal.screen.lines)


@needs_pty
def test_a_dumb_terminal_is_sent_no_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("im2rec.cli.progress.LINE_EVERY_S", 0.0)
    with pseudo_terminal() as terminal:
        on_terminal(terminal, "inspect a.rec")

    assert "surveying: 6 records (100%)" in terminal.screen.lines[-1]
    assert all(line.startswith("surveying: 6 records (") for line in terminal.screen.lines)
