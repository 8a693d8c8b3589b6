"""Where the compiled kernel comes from, and why there may be none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import im2rec.jpeg.loading
from im2rec.jpeg.loading import Loaded, load, sources_digest

pytest.importorskip("numba")
ASK = """
from im2rec.jpeg.loading import load
loaded = load({})
print(loaded.kernel and loaded.kernel.name, loaded.reason)
"""


def asked(arguments: str = "", **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK.format(arguments)],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "" == done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_no_numba() -> None:
    code = "import sys, im2rec.jpeg.kernel, im2rec.jpeg.loading; print('numba' in sys.modules)"

    assert "False" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()


def test_the_same_kernel_comes_each_time_and_says_its_name() -> None:
    loaded = load()

    assert loaded.kernel is load().kernel
    assert loaded.kernel is not None
    assert loaded.kernel.name.startswith("numba 0.")


def test_the_environment_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IM2REC_KERNEL", "0")

    assert Loaded(None, "IM2REC_KERNEL=0 turns it off") == load()


def test_without_the_compiler_there_is_none() -> None:
    assert "None NUMBA_DISABLE_JIT is set" == asked(NUMBA_DISABLE_JIT="1")


def test_it_is_compiled_once_and_then_comes_from_the_cache(tmp_path: Path) -> None:
    where = {"NUMBA_CACHE_DIR": str(tmp_path)}

    assert "None it is not compiled yet; run 'im2rec compile'" == asked("may_compile=False", **where)
    assert asked(**where).startswith("numba 0.")
    assert asked("may_compile=False", **where).startswith("numba 0.")


def test_where_nothing_can_be_kept_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    caching = pytest.importorskip("numba.core.caching")
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # the places it tries

    reason = im2rec.jpeg.loading._load(may_compile=True).reason

    assert "does not compile it: cannot cache function" in reason


def test_a_missing_numba_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)

    assert Loaded(None, "numba is not installed") == im2rec.jpeg.loading._load(may_compile=True)


def test_the_digest_changes_with_any_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = Path(im2rec.jpeg.loading.__file__)
    for source in here.parent.glob("*.py"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(im2rec.jpeg.loading, "__file__", str(tmp_path / here.name))
    known = sources_digest.__wrapped__()

    assert sources_digest() == known
    for source in sorted(tmp_path.glob("*.py")):
        content = source.read_bytes()
        source.write_bytes(content + b"\n")
        assert known != sources_digest.__wrapped__(), source.name
        source.write_bytes(content)


FORK = """
import os, threading, time
from im2rec.jpeg.loading import load
thread = threading.Thread(target=load)
thread.start()
time.sleep({delay})
child = os.fork()
if not child:
    os._exit(0 if load().kernel else 1)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_a_fork_while_a_thread_loads_does_not_hang_the_child(delay: float) -> None:
    load()  # so that it is in the cache
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK.replace("{delay}", str(delay))],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "0\n" == done.stdout
