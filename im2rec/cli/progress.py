"""What a command shows of long work on stderr: a bar on a terminal, a line every ten seconds elsewhere.

Both say the same: what is done, how many items, the share, the time that is left, and the rate. tqdm draws the bar. A
bar is removed at its end, also that of a phase that others follow: what it has counted is in the summary, which alone
remains on the terminal, or the error line says where the work ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import click

from im2rec.cli.interrupts import raise_if_lost
from im2rec.errors import counted, human_size
from im2rec.progress import BYTE, Phase

LINE_EVERY_S, DRAW_EVERY_S = 10.0, 0.1
_WIDTH = 80
_NOTHING_LEFT_BEFORE_S = 1.0  # from a single item, the time left would be hours
_LEAST_BAR = 6  # columns; where there are fewer, all of them are for the numbers
_OFF = "TQDM_DISABLE"  # a variable of tqdm, which people set so that no program shows progress
# tqdm takes other values for these from the environment, TQDM_LEAVE for example, and not all of them can be drawn.
_PLAIN: dict[str, Any] = {
    "leave": False,
    "ascii": None,
    "disable": False,
    "dynamic_ncols": False,
    "position": None,
    "postfix": None,
    "write_bytes": False,
    "lock_args": None,
    "nrows": None,
    "colour": None,
    "delay": 0.0,
    "gui": False,
}
_ECHO = 2  # columns that stay free at the end of the line, as the terminal shows a Ctrl-C there, as ^C
_lock = threading.RLock()  # of the terminal: the iterator logs from other threads


class Display:
    """The progress of a command, called with the count so far and, if it is known, the share done: shows nothing.

    A call raises a signal that a library has caught, so that the run ends all the same.
    """

    def __call__(self, count: int, share: float | None = None) -> None:
        """Note that *count* items, and *share* of the whole work, are done. Raises CtrlCError, TerminatedError."""
        raise_if_lost()

    def begin_phase(self, phase: Phase) -> None:
        """Note that *phase* begins."""

    def close(self, *, is_done: bool) -> None:
        """End it. Unless *is_done*, an error has ended the work."""


class _Shown(Display):
    """Progress that is shown, by :meth:`_draw`, every *every_s* seconds."""

    _phase: Phase

    def __init__(self, phase: Phase, every_s: float) -> None:
        self._every_s = every_s
        self._due = time.monotonic() + every_s
        self._start(phase)

    def __call__(self, count: int, share: float | None = None) -> None:
        """Show *count* and *share*, if it is time."""
        raise_if_lost()
        self._count, self._share, self._is_drawn = count, share, False
        if (now := time.monotonic()) >= self._due:
            self._due = now + self._every_s
            self._draw_now()

    def begin_phase(self, phase: Phase) -> None:
        """Show the last state of the phase before, and begin *phase*. A new name for the same phase goes on with it."""
        if dataclasses.replace(self._phase, what=phase.what) == phase != self._phase:
            self._phase = phase
            self._show_name()
        else:
            self._finish()
            self._start(phase)

    def _start(self, phase: Phase) -> None:
        self._phase, self._started = phase, time.monotonic()
        self._count, self._is_drawn = phase.count, False
        self._share = None if phase.share is None else phase.start + (phase.end - phase.start) * phase.share

    def _show_name(self) -> None:
        """Show the new name of the phase."""

    def _finish(self) -> None:
        """Show what is true at the end of a phase."""

    def _draw_now(self) -> None:
        self._is_drawn = True
        self._draw()

    def _draw(self) -> None:
        raise NotImplementedError

    def _share_of_phase(self, share: float) -> float:
        """Return the share of the phase that *share* of the whole work is, from 0 to 1."""
        start, end = self._phase.start, self._phase.end
        return max(0.0, min(1.0, (share - start) / (end - start)))

    def _counted(self) -> str:
        """Return how many items are done, with their unit."""
        unit, count = self._phase.unit, self._count
        return human_size(count) if unit == BYTE else counted(count, unit)

    def _percent(self) -> str:
        """Return the share in percent, rounded down, so that 100% is said of all the work alone; "" if unknown."""
        return "" if self._share is None else f"{math.floor(self._share_of_phase(self._share) * 100 + 1e-9)}%"

    def _rate(self) -> str:
        """Return the items of this run in a second; "" if unknown."""
        seconds, count = time.monotonic() - self._started, self._count - self._phase.count
        if not self._phase.is_rated or seconds <= 0 or count <= 0:
            return ""
        rate, unit = count / seconds, self._phase.unit
        if unit == BYTE:
            return f"{human_size(rate)}/s"
        digits = max(0, 1 - math.floor(math.log10(rate))) if rate < 10 else 0  # two digits, of large ones all
        return f"{rate:,.{digits}f} {unit}s/s"

    def _left(self) -> str:
        """Return the time that the rest takes if it is as fast as what this run has done so far; "" if unknown."""
        if self._share is None or self._phase.share is None:
            return ""
        before, now = self._phase.share, self._share_of_phase(self._share)
        seconds = self._elapsed_s()
        if seconds < _NOTHING_LEFT_BEFORE_S and now < 1.0:
            return ""
        return _clock(math.ceil(seconds * (1 - now) / (now - before))) if now > before + 1e-9 and seconds > 0 else ""

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started


class _Lines(_Shown):
    """Progress in lines, for a log."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(phase, LINE_EVERY_S)

    def _draw(self) -> None:
        percent, rate, left = self._percent(), self._rate(), self._left()
        head = f"{self._phase.what}: {self._counted()}"
        parts = [f"{head} ({percent})" if percent else head, rate, f"{left} left" if left else ""]
        print_to_stderr(", ".join(filter(None, parts)))


class _Bar(_Shown):
    """Progress as a bar of tqdm in the last line of a terminal; one at a time."""

    def __init__(self, phase: Phase) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - 20 ms that only a terminal needs

        tqdm.monitor_interval = 0  # no thread, which would only redraw: processes may be forked meanwhile
        tqdm.set_lock(_lock)
        self._tqdm = tqdm
        self._bar: Any = None
        super().__init__(phase, DRAW_EVERY_S)

    def _start(self, phase: Phase) -> None:
        super()._start(phase)
        self._draw_now()  # at once, as the first items may take long

    def _draw(self) -> None:
        limit = max(1, min(_WIDTH, _columns() - 1 - _ECHO))  # tqdm takes 0 for any width
        share = None if self._share is None else self._share_of_phase(self._share)
        with _lock, contextlib.suppress(OSError, ValueError):  # a terminal that is gone
            look: dict[str, Any] = {"ncols": limit, "bar_format": self._layout(limit)}
            if self._bar is None:
                self._bar = self._tqdm(total=1.0, initial=share or 0.0, file=sys.stderr, **_PLAIN, **look)
            else:
                vars(self._bar).update(look, n=share or 0.0)
                self._bar.refresh(nolock=True)

    def _layout(self, limit: int) -> str:
        """Return the line of *limit* columns in the form that tqdm takes, with what fits in it."""
        what, counted, percent, rate = self._phase.what, self._counted(), self._percent(), self._rate()
        elapsed, left = _clock(math.floor(self._elapsed_s())), self._left()
        share = f" {percent:>4}" if percent else ""
        head = f"{what}: {counted}{share}"
        times = f"{elapsed}<{left or '?'}" if percent else elapsed
        tail = ", ".join(filter(None, [times, rate]))
        if percent and len(f"{head} || {tail}") + _LEAST_BAR <= limit:
            return f"{head} |{{bar}}| {tail}"
        short = counted.partition(" ")[0] + share
        lines = (f"{head} {tail}", f"{head} {times}", head, f"{what}: {short}", short)
        return next((line for line in lines if len(line) <= limit), " ")  # tqdm takes its own form for ""

    def _show_name(self) -> None:
        self._draw_now()  # what is timed now, while it is timed

    def _finish(self) -> None:
        if not self._is_drawn:
            self._draw_now()

    def close(self, *, is_done: bool) -> None:
        """Draw the last state if the work *is_done*, and remove the bar."""
        if is_done:
            self._finish()
        self.hide()

    def hide(self) -> None:
        """Remove the bar; the next call draws it again."""
        with _lock, contextlib.suppress(OSError, ValueError):
            bar, self._bar = self._bar, None
            if bar is not None:
                # Wider than the bar by the echoes of some Ctrl-C, which tqdm does not know of.
                bar.display(" " * max(0, min(_columns() - 1, bar.ncols + 4 * _ECHO)), pos=0)
                bar.close()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Remove the bar while the block prints lines, and draw it again below them."""
        with _lock:
            if self._bar is None:
                yield
                return
            with contextlib.suppress(OSError, ValueError):
                self._bar.clear(nolock=True)
            yield
            if self._bar is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._bar.refresh(nolock=True)


_on_terminal: _Bar | None = None  # the bar on the terminal


@contextlib.contextmanager
def shown_progress(phase: Phase) -> Iterator[Display]:
    """Give the progress of work that begins with *phase*, on stderr. One inside another takes its place meanwhile."""
    global _on_terminal  # noqa: PLW0603 - there is one terminal
    if os.environ.get(_OFF, "") not in ("", "0"):
        yield Display()
        return
    if not (sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and _has_tqdm()):
        yield _Lines(phase)
        return
    outer, bar = _on_terminal, _Bar(phase)
    if outer is not None:
        outer.hide()
    _on_terminal, is_done = bar, False
    try:
        with _python_warnings_aside():
            yield bar
        is_done = True
    finally:
        _on_terminal = outer
        bar.close(is_done=is_done)


def _has_tqdm() -> bool:
    """True unless a variable such as ``TQDM_DELAY=x`` keeps tqdm from being imported."""
    try:
        import tqdm  # noqa: F401, PLC0415 - as in _Bar
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _python_warnings_aside() -> Iterator[None]:
    """Have warnings of Python and of libraries printed beside the bar."""
    show = warnings.showwarning

    def show_aside(*values: Any, **named: Any) -> None:
        with _bar_aside():
            show(*values, **named)

    warnings.showwarning = show_aside
    try:
        yield
    finally:
        if warnings.showwarning is show_aside:
            warnings.showwarning = show


@contextlib.contextmanager
def _bar_aside() -> Iterator[None]:
    with contextlib.nullcontext() if _on_terminal is None else _on_terminal.aside():
        yield


def print_to_stderr(line: str) -> None:
    """Print *line* on stderr, above a bar; a stderr that is closed does not stop the work."""
    with contextlib.suppress(OSError), _bar_aside():
        click.echo(line, err=True)


def _columns() -> int:
    """Return the columns of the terminal at stderr; 80 if it does not tell."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH


def _clock(seconds: int) -> str:
    """Return *seconds* as ``0:12`` or ``1:02:03``."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
