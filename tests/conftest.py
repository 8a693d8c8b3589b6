"""Fixtures that every test file may use."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from compile_helpers import compile_at_once
from helpers import Clock
from iterator_helpers import Gate, a_rec, permutation_table

from im2rec.bench import timing
from im2rec.pipeline import order, permutation

# The same examples in every run, however slow the machine is, and no database of them in the checkout.
hypothesis.settings.register_profile("im2rec", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("im2rec")

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


# Folders and files.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder to be made."""
    return tmp_path / "out"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for fetched files, which is to be made."""
    monkeypatch.setenv("IM2REC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of 8 x 10 pixels, with ids from 100 and labels from 0; no test changes it."""
    return a_rec(tmp_path_factory.mktemp("seven"), 7, "a.rec")


@pytest.fixture(scope="session")
def compiled_at_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with the compiled decoder, and how the second of two ``im2rec compile`` ended. No test changes it."""
    pytest.importorskip("numba")
    folder = tmp_path_factory.mktemp("compiled")
    return folder, compile_at_once(folder, ["compile", "--json"])


@pytest.fixture
def compiled(compiled_at_once: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Path:
    """A copy of a folder with the compiled decoder."""
    return Path(shutil.copytree(compiled_at_once[0], tmp_path / "compiled"))


# What the library meets.


@pytest.fixture(params=["opencv", "pillow"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The library that resizes and encodes: the test runs with each."""
    if request.param == "opencv":
        pytest.importorskip("cv2")
    return str(request.param)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate before the loader, which stands open."""
    return Gate(monkeypatch)


@pytest.fixture
def kept_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look permutations up in tables: those of few take long, and small tests ask for every place again and again."""
    for module in (permutation, order):
        monkeypatch.setattr(module, "Permutation", lambda count, key: permutation_table(count, key).__getitem__)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers on this machine are asked without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def progress_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of progress is printed for every step, not every ten seconds."""
    monkeypatch.setattr("im2rec.cli.console.LINE_EVERY_S", 0.0)
