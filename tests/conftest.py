"""Fixtures that every test file may use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

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
