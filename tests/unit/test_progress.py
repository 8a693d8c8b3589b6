"""What is shown of long work: bars on a terminal, lines elsewhere, and the phases that the library tells them."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from screen_helpers import Terminal

from im2rec.cli import progress as module
from im2rec.cli.console import Console
from im2rec.cli.interrupts import CtrlCError
from im2rec.cli.progress import Display, print_to_stderr
from im2rec.progress import BYTE, Phase, begin_phase


class Now:
    """The clock of the progress, which stands still unless a test sets it."""

    def __init__(self) -> None:
        self.s = 1000.0

    def monotonic(self) -> float:
        return self.s


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    """Replace the clock."""
    clock = Now()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Give the terminal of :func:`on_terminal`, on which every state is drawn."""
    monkeypatch.setattr(module, "DRAW_EVERY_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def on_terminal(test: Callable[..., None]) -> Callable[..., None]:
    """Have *test* run with the fixture ``terminal`` as stderr; pytest replaces one that the fixture itself has set."""

    @functools.wraps(test)
    def run(**values: Any) -> None:
        with contextlib.redirect_stderr(values["terminal"]):
            test(**values)

    return run


def without_bar(line: str) -> str:
    """Return *line* with a short bar in place of its own."""
    return re.sub(r"\|.*\|", "|=|", line)


# Phases.


def test_a_phase_gives_its_share_of_the_whole_work() -> None:
    calls: list[tuple[int, float]] = []
    first = begin_phase(lambda *now: calls.append(now), Phase("reading", "record", 0.0, 0.25))
    second = begin_phase(lambda *now: calls.append(now), Phase("writing", "record", 0.25))
    first(1, 1.0)
    second(0, 0.0)
    second(9, 1.0)

    assert [(1, 0.25), (0, 0.25), (9, 1.0)] == calls


def test_a_phase_of_no_progress_takes_calls_too() -> None:
    begin_phase(None, Phase("reading", "record"))(1, 0.5)


# Lines, where stderr is no terminal.


def test_a_line_every_ten_seconds_has_count_share_rate_and_time_left(
    now: Now, capsys: pytest.CaptureFixture[str]
) -> None:
    with Console().progress("packing", "image") as progress:
        for moment, count in ((0, 0), (9.9, 1000), (10.0, 1234), (15, 2000), (20, 3000)):
            now.s = 1000 + moment
            progress(count, count / 4000)

    assert [
        "packing: 1,234 images (30%), 123 images/s, 0:23 left",
        "packing: 3,000 images (75%), 150 images/s, 0:07 left",
    ] == capsys.readouterr().err.splitlines()


def test_without_a_share_a_line_has_count_and_rate(now: Now, capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("finding", "image", share=None) as progress:
        now.s += 20
        progress(1)

    assert "finding: 1 image, 0.050 images/s\n" == capsys.readouterr().err


def test_what_earlier_runs_have_done_is_in_count_and_share_but_not_in_rate_and_time_left(
    now: Now, capsys: pytest.CaptureFixture[str]
) -> None:
    with Console().progress("packing", "image") as progress:
        now.s += 500  # spent on finding the state of the earlier run
        report = begin_phase(progress, Phase("packing", "image", count=900_000, share=0.9))
        now.s += 10
        report(901_000, 0.901)

    assert "packing: 901,000 images (90%), 100 images/s, 16:30 left\n" == capsys.readouterr().err


def test_each_phase_has_its_own_share_rate_and_time(now: Now, capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("extracting", "record") as progress:
        read = begin_phase(progress, Phase("reading headers", "record", 0.0, 0.1))
        now.s += 10
        read(5000, 0.5)
        write = begin_phase(progress, Phase("extracting", "record", 0.1))
        now.s += 10
        write(20, 0.25)

    assert [
        "reading headers: 5,000 records (50%), 500 records/s, 0:10 left",
        "extracting: 20 records (25%), 2.0 records/s, 0:30 left",
    ] == capsys.readouterr().err.splitlines()


def test_a_line_is_due_every_ten_seconds_also_where_no_phase_takes_so_long(
    now: Now, capsys: pytest.CaptureFixture[str]
) -> None:
    with Console().progress("packing", "image") as progress:
        for number in range(4):
            report = begin_phase(progress, Phase(f"phase {number}", "image"))
            now.s += 6
            report(6, 1.0)

    found = capsys.readouterr().err.splitlines()
    assert ["phase 1", "phase 3"] == [line.partition(":")[0] for line in found]


def test_bytes_are_shown_with_a_decimal_unit(now: Now, capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("importing", "image") as progress:
        fetch = begin_phase(progress, Phase("fetching", BYTE, count=2_000_000, share=0.2))
        now.s += 10
        fetch(5_500_000, 0.55)

    assert "fetching: 5.5 MB (55%), 350 kB/s, 0:13 left\n" == capsys.readouterr().err


def test_100_percent_is_said_of_all_the_work_alone(now: Now, capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("packing", "image") as progress:
        for share in (0.9999, 1.0):
            now.s += 10
            progress(9999, share)

    assert ["(99%)", "(100%)"] == re.findall(r"\(\d+%\)", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59, "0:59"), (75, "1:15"), (3599, "59:59"), (90_061, "25:01:01")]
)
def test_times_have_minutes_and_seconds_and_hours_if_any(seconds: int, text: str) -> None:
    assert text == module._clock(seconds)


@on_terminal
def test_a_dumb_terminal_gets_lines(now: Now, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Console().progress("packing", "image") as progress:
        now.s += 10
        progress(10, 0.5)

    assert "packing: 10 images (50%), 1.0 images/s, 0:10 left\n" == terminal.getvalue()


@on_terminal
def test_a_terminal_gets_lines_where_the_environment_keeps_tqdm_from_being_imported(
    now: Now, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("TQDM_DELAY", "a while")
    with Console().progress("packing", "image") as progress:
        now.s += 10
        progress(10, 0.5)

    assert "packing: 10 images (50%), 1.0 images/s, 0:10 left\n" == terminal.getvalue()


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_nothing_is_shown_where_the_environment_turns_bars_off(
    now: Now, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with contextlib.redirect_stderr(stream), Console().progress("packing", "image") as progress:
        now.s += 10
        progress(10, 0.5)

    assert "" == stream.getvalue()


# Bars.


@on_terminal
def test_a_bar_has_count_share_time_time_left_and_rate(now: Now, terminal: Terminal) -> None:
    with Console().progress("verifying", "image") as progress:
        now.s += 12
        progress(12_345, 0.41)

    first, last = map(without_bar, terminal.screen.bars)
    assert "verifying: 0 images   0% |=| 0:00<?" == first
    assert "verifying: 12,345 images  41% |=| 0:12<0:18, 1,029 images/s" == last


@on_terminal
def test_a_bar_is_removed_at_its_end_and_leaves_nothing(now: Now, terminal: Terminal) -> None:
    with Console().progress("packing", "image") as progress:
        now.s += 1
        progress(4000, 1.0)
    print_to_stderr("after")

    assert ["after"] == terminal.screen.lines
    assert all(len(line) <= 80 for line in terminal.screen.drawn)


@on_terminal
def test_the_last_state_is_drawn_before_the_bar_is_removed(
    now: Now, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAW_EVERY_S", 1000.0)
    with Console().progress("packing", "image") as progress:
        now.s += 1
        progress(1999, 0.5)
        progress(4000, 1.0)

    assert ["packing: 0 images   0% |=| 0:00<?", "packing: 4,000 images 100% |=| 0:01<0:00, 4,000 images/s"] == [
        *map(without_bar, terminal.screen.bars)
    ]


@pytest.mark.parametrize("error", [ValueError, CtrlCError])
@on_terminal
def test_after_an_error_the_bar_has_not_said_100_percent_and_is_removed(
    now: Now, terminal: Terminal, error: type[BaseException]
) -> None:
    def work() -> None:
        with Console().progress("packing", "image") as progress:
            now.s += 1
            progress(1999, 0.5)
            terminal.write("^C")  # as a terminal shows the key
            raise error

    with contextlib.suppress(ValueError, CtrlCError):
        work()
    print_to_stderr("im2rec: interrupted")

    assert ["im2rec: interrupted"] == terminal.screen.lines
    assert " 50% |" in terminal.screen.bars[-2]
    assert "100%" not in terminal.getvalue()


@on_terminal
def test_without_a_share_there_is_no_bar_but_count_time_and_rate(now: Now, terminal: Terminal) -> None:
    with Console().progress("finding", "image", share=None) as progress:
        now.s += 65
        progress(1_300_000)

    assert "finding: 1,300,000 images 1:05, 20,000 images/s" == terminal.screen.bars[-1]


@on_terminal
def test_lines_that_are_printed_stand_above_the_bar_which_is_drawn_again(now: Now, terminal: Terminal) -> None:
    console = Console()
    with console.progress("packing", "image") as progress:
        now.s += 1
        progress(10, 0.1)
        console.warn(["one"])
        console.info("two")
        now.s += 1
        progress(20, 0.2)

    assert ["warning: one", "two"] == terminal.screen.lines
    shown = [without_bar(line) for line in terminal.screen.bars]
    assert {
        "packing: 0 images   0% |=| 0:00<?",
        "packing: 10 images  10% |=| 0:01<0:09, 10 images/s",
        "warning: one",
        "two",
        "packing: 20 images  20% |=| 0:02<0:08, 10 images/s",
    } == set(shown)
    assert [1, 1] == [shown.count("warning: one"), shown.count("two")]


@on_terminal
def test_warnings_of_python_stand_above_the_bar(now: Now, terminal: Terminal) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *what, **_: terminal.write(f"{what[0]}\n") and None
        before = warnings.showwarning
        with Console().progress("packing", "image") as progress:
            progress(10, 0.1)
            warnings.warn("careful", RuntimeWarning, stacklevel=1)
            now.s += 1
            progress(20, 0.2)
        assert before is warnings.showwarning
    assert ["careful"] == terminal.screen.lines
    assert 1 == terminal.screen.bars.count("careful")


@on_terminal
def test_lines_from_other_threads_stand_above_the_bar(now: Now, terminal: Terminal) -> None:
    with Console().progress("iterating", "image") as progress:
        thread = threading.Thread(target=lambda: [print_to_stderr(f"line {number}") for number in range(50)])
        thread.start()
        for count in range(1, 200):
            now.s += 0.1
            progress(count, count / 200)
        thread.join()

    assert [f"line {number}" for number in range(50)] == terminal.screen.lines
    for line in terminal.screen.bars:
        assert re.fullmatch(
            r"line \d+|iterating: [\d,]+ images?  +\d+% \|.*\| \d:\d\d<(\?|\d:\d\d)(, [\d,.]+ images/s)?", line
        )


@on_terminal
def test_phases_follow_one_another_in_one_line_each_to_its_end(
    now: Now, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAW_EVERY_S", 1000.0)
    with Console().progress("extracting", "record") as progress:
        read = begin_phase(progress, Phase("reading", "record", 0.0, 0.1))
        now.s += 1
        read(50, 1.0)
        write = begin_phase(progress, Phase("extracting", "record", 0.1, count=20, share=0.4))
        now.s += 1
        write(50, 1.0)

    assert [
        "extracting: 0 records   0% |=| 0:00<?",
        "reading: 0 records   0% |=| 0:00<?",
        "reading: 50 records 100% |=| 0:01<0:00, 50 records/s",
        "extracting: 20 records  40% |=| 0:00<?",
        "extracting: 50 records 100% |=| 0:01<0:00, 30 records/s",
    ] == [*map(without_bar, terminal.screen.bars)]
    assert [] == terminal.screen.lines


@on_terminal
def test_a_new_name_for_the_same_phase_keeps_its_count_and_time(now: Now, terminal: Terminal) -> None:
    with Console().progress("measuring", "step") as progress:
        for number, name in enumerate(("reading", "decoding"), 1):
            report = begin_phase(progress, Phase(f"timing {name}", "step", is_rated=False))
            now.s += 1
            report(number, number / 4)

    assert [
        "measuring: 0 steps   0% |=| 0:00<?",
        "timing reading: 0 steps   0% |=| 0:00<?",
        "timing reading: 1 step  25% |=| 0:01<0:03",
        "timing decoding: 1 step  25% |=| 0:01<0:03",
        "timing decoding: 2 steps  50% |=| 0:02<0:02",
    ] == [*map(without_bar, terminal.screen.bars)]


@on_terminal
def test_one_bar_inside_another_takes_its_place_meanwhile(now: Now, terminal: Terminal) -> None:
    with Console().progress("outer", "image") as outer:
        now.s += 1
        outer(10, 0.1)
        with Console().progress("inner", "image") as inner:
            inner(5, 0.5)
        outer(20, 0.2)

    assert [] == terminal.screen.lines
    names = (line.partition(":")[0] for line in terminal.screen.bars)
    assert ["outer", "inner", "outer"] == [name for name, _ in itertools.groupby(names)]


@on_terminal
def test_a_terminal_that_is_gone_does_not_stop_the_work(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_text: str) -> int:
        raise OSError(28, "No space left on device")

    with Console().progress("packing", "image") as progress:
        progress(10, 0.1)
        monkeypatch.setattr(terminal, "write", gone)
        progress(20, 0.2)
        print_to_stderr("lost")


@pytest.mark.parametrize("quiet", [1, 2])
@on_terminal
def test_with_quiet_nothing_is_shown(now: Now, terminal: Terminal, quiet: int) -> None:
    with Console(quiet=quiet).progress("packing", "image") as progress:
        assert type(progress) is Display
        now.s += 60
        begin_phase(progress, Phase("writing", "image"))(20, 0.2)

    assert "" == terminal.getvalue()


@pytest.fixture(params=[20, 30, 40, 60, 77])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Set the width of the terminal."""
    monkeypatch.setattr(module, "_columns", lambda: request.param)
    return request.param


@on_terminal
def test_a_narrow_terminal_gets_what_fits_in_its_line(now: Now, terminal: Terminal, columns: int) -> None:
    with Console().progress("extracting", "record") as progress:
        now.s += 3725
        progress(1_234_567, 0.41)

    last = without_bar(next(iter(terminal.screen.bars[-1:]), ""))
    assert {
        20: "1,234,567  41%",
        30: "extracting: 1,234,567  41%",
        40: "extracting: 1,234,567 records  41%",
        60: "extracting: 1,234,567 records  41% 1:02:05<1:29:21",
        77: "extracting: 1,234,567 records  41% |=| 1:02:05<1:29:21, 331 records/s",
    }[columns] == last
    assert all(len(line) <= columns - 3 for line in terminal.screen.drawn)
