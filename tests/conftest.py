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
from recovery_helpers import BadDisk

from im2rec.bench import timing
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import load
from im2rec.pipeline import order, permutation
from im2rec.storage.files import InputFile

# The same examples in every run, on slow machines too, and no database of them in the checkout.
hypothesis.settings.register_profile(
    "im2rec", derandomize=True, deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("im2rec")

# Python itself ignores these in this process, and subprocess sets them back in children.
_IGNORED_BY_PYTHON = {getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)}


@pytest.fixture(scope="session", autouse=True)
def _children_meet_the_default_of_every_signal() -> Iterator[None]:
    """Replace the handler of each signal that this run ignores by a function that does nothing.

    A shell starts a background command with SIGINT ignored, ``nohup`` one with SIGHUP ignored, and every child process
    would inherit that. A Python handler is not inherited: ``exec`` sets the default again. This run still ignores the
    signals.
    """
    numbers = signal.valid_signals() - _IGNORED_BY_PYTHON
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give this run, and all it starts, a cache folder that no other program uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IM2REC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of im2rec.bench by one that only the test advances, so that no test depends on real time."""
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


@pytest.fixture
def ticking(clock: Clock) -> Clock:
    """Replace the clock of im2rec.bench by one that advances half a millisecond each time it is read."""
    clock.tick = 5e-4
    return clock


# Folders and files.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "out"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the cache folder for downloads, and return its path; the folder does not exist yet."""
    monkeypatch.setenv("IM2REC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``.rec`` of seven images of 8 x 10 pixels, with ids from 100 and labels from 0. Tests must not change it."""
    return a_rec(tmp_path_factory.mktemp("seven"), 7, "a.rec")


@pytest.fixture(scope="session")
def compiled_at_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with the compiled decoder, and the result of the second of two ``im2rec compile``; not to be changed."""
    pytest.importorskip("numba")
    folder = tmp_path_factory.mktemp("compiled")
    return folder, compile_at_once(folder, ["compile", "--json"])


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The compiled JPEG decoder."""
    loaded = load()
    assert loaded.kernel is not None, loaded.reason
    return loaded.kernel


@pytest.fixture
def compiled(compiled_at_once: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Path:
    """A folder with the compiled decoder that the test may change."""
    return Path(shutil.copytree(compiled_at_once[0], tmp_path / "compiled"))


@pytest.fixture
def bad_disk(monkeypatch: pytest.MonkeyPatch) -> BadDisk:
    """A disk of which some byte ranges cannot be read: all files are on it."""
    disk = BadDisk(InputFile._pread)

    def pread(file: InputFile, handle: int, size: int, offset: int) -> bytes:
        return disk.pread(file, handle, size, offset)

    monkeypatch.setattr(InputFile, "_pread", pread)
    return disk


# The library's environment.


@pytest.fixture(params=["opencv", "pillow"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The name of an engine, the library that resizes and encodes: the test runs with each."""
    if request.param == "opencv":
        pytest.importorskip("cv2")
    return str(request.param)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate before the loader, open until the test closes it."""
    return Gate(monkeypatch)


@pytest.fixture
def kept_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look permutations up in tables: computing a small one again for each of its elements would take long."""
    for module in (permutation, order):
        monkeypatch.setattr(module, "Permutation", lambda count, key: permutation_table(count, key).__getitem__)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to servers on this machine without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def progress_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print a line of progress for every step, not every ten seconds."""
    monkeypatch.setattr("im2rec.cli.progress.LINE_EVERY_S", 0.0)
