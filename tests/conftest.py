"""Fixtures that every test file may use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from helpers import Clock

from im2rec.bench import timing

# Python itself ignores these in this process, and subprocess sets them back in children.
_IGNORED_BY_PYTHON = {getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)}


@pytest.fixture(scope="session", autouse=True)
def _children_meet_the_default_of_every_signal() -> Iterator[None]:
    """Replace each signal that this run was started to ignore by a handler that does nothing.

    A shell starts a command in the background with SIGINT ignored, and ``nohup`` one with SIGHUP ignored, and every
    child would inherit that. A handler ends with ``exec``, which sets the default; this run still ignores the signal.
    """
    numbers = signal.valid_signals() - _IGNORED_BY_PYTHON
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of bench, which only the test advances: however busy the machine is, no measurement is late."""
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


@pytest.fixture
def ticking(clock: Clock) -> Clock:
    """A clock of bench by which whatever lies between two looks at it takes half a millisecond."""
    clock.tick = 5e-4
    return clock
