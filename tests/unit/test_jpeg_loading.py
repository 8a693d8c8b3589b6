"""Where the compiled kernel comes from, and why there may be none."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from compile_helpers import ONLY_FOLDER, ROOT, python

import im2rec.jpeg.cache
import im2rec.jpeg.loading
from im2rec.jpeg import loading
from im2rec.jpeg.loading import LoadResult, load, sources_digest

pytest.importorskip("numba")
ASK = """
from im2rec.jpeg.loading import load
loaded = load(ARGUMENTS)
print(loaded.kernel and loaded.kernel.name, loaded.reason)
"""


def asked(arguments: str = "", only: Path | None = None, **environment: str) -> str:
    code = (ONLY_FOLDER if only else "") + ASK.replace("ARGUMENTS", arguments)
    done = python(code, only or "", environment=environment)
    assert "" == done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_no_numba() -> None:
    code = "import sys, im2rec.jpeg.kernel, im2rec.jpeg.loading; print('numba' in sys.modules)"

    assert "False" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()


def test_loading_twice_returns_the_same_kernel_with_its_name() -> None:
    loaded = load()

    assert loaded.kernel is load().kernel
    assert loaded.kernel is not None
    assert loaded.kernel.name.startswith("numba 0.")


def test_the_environment_turns_the_kernel_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IM2REC_KERNEL", "0")

    assert LoadResult(None, "IM2REC_KERNEL=0 turns it off") == load()


def test_without_numbas_compiler_there_is_no_kernel() -> None:
    assert "None NUMBA_DISABLE_JIT is set" == asked(NUMBA_DISABLE_JIT="1")


def test_stored_code_is_loaded_and_not_compiled_again(compiled: Path, tmp_path: Path) -> None:
    assert "None it is not compiled yet; run 'im2rec compile'" == asked("may_compile=False", only=tmp_path / "empty")
    before = {path.name: path.read_bytes() for path in compiled.iterdir()}
    for arguments in ("may_compile=False", ""):
        assert asked(arguments, only=compiled).startswith("numba 0.")
    assert before == {path.name: path.read_bytes() for path in compiled.iterdir()}


def test_the_room_asked_for_is_twice_that_of_all_compiled_code(compiled: Path) -> None:
    files = [path for path in compiled.iterdir() if path.suffix == ".kernel"]

    assert 3 == len(files)
    assert sum(path.stat().st_size for path in files) < im2rec.jpeg.cache._NEEDED_BYTES // 2


def test_without_stored_code_numba_is_not_imported(tmp_path: Path) -> None:
    code = ONLY_FOLDER + ASK.replace("ARGUMENTS", "may_compile=False") + "import sys; print('numba' in sys.modules)"

    assert f"None {loading.NOT_YET}\nFalse\n" == python(code, tmp_path).stdout


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
@pytest.mark.parametrize("function", ["decode", "fill_table"])
def test_a_damaged_file_is_not_loaded_but_compiled_again(
    compiled: Path, function: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = compiled.glob(f"im2rec-{function}.*")
    monkeypatch.setattr(im2rec.jpeg.cache, "folders", lambda: [compiled])
    monkeypatch.setattr(loading, "_compile_and_store", lambda *_, **__: loading._ReadyKernel("anew", True, compiled))  # type: ignore[arg-type]
    assert "anew" != loading._load_or_compile().kernel

    file.write_bytes(file.read_bytes()[:kept])
    assert LoadResult(None, loading.NOT_YET) == loading._load(print, may_compile=False)
    assert "anew" == loading._load_or_compile().kernel


def test_an_intact_file_that_numba_cannot_load_counts_as_not_compiled(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = compiled.glob("im2rec-decode.*")
    im2rec.jpeg.cache.write(compiled, file.name, pickle.dumps("of another numba"))
    monkeypatch.setattr(im2rec.jpeg.cache, "folders", lambda: [compiled])

    assert LoadResult(None, loading.NOT_YET) == loading._load(print, may_compile=False)


def test_code_that_another_process_has_just_compiled_is_loaded(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    said: list[str] = []

    @contextlib.contextmanager
    def waits_for_the_other(folder: Path, waiting: Callable[[], None]) -> Iterator[bool]:
        waiting()
        for file in compiled.glob("*.kernel"):
            shutil.copy(file, folder)
        yield True

    monkeypatch.setattr(im2rec.jpeg.cache, "folders", lambda: [place])
    monkeypatch.setattr(im2rec.jpeg.cache, "locked", waits_for_the_other)
    done = loading.compile_ahead(tell=said.append)

    assert (False, place) == (done.compiled, done.folder)
    assert ["another process is compiling the decoder; waiting for it"] == said


def test_if_nothing_can_be_stored_nothing_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(im2rec.jpeg.cache, "folders", lambda: [tmp_path / "file"])
    monkeypatch.setattr(loading, "_compile_and_store", lambda *_, **__: pytest.fail("compiles"))
    reason = loading._load(print, may_compile=True).reason

    assert f"{tmp_path / 'file'}: compiled code cannot be kept: file exists" == reason


def test_code_that_checks_all_indices_is_not_stored(tmp_path: Path) -> None:
    code = ONLY_FOLDER + "from im2rec.jpeg.loading import compile_ahead; compile_ahead()"
    done = python(code, tmp_path, environment={"NUMBA_BOUNDSCHECK": "1"})

    expected = "NUMBA_BOUNDSCHECK is set, and code that checks all indices is not kept (unset NUMBA_BOUNDSCHECK)"
    assert done.stderr.endswith(f"NoKernelError: {expected}\n")


def test_a_failure_of_numba_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a reason\nand much more")

    monkeypatch.setattr(im2rec.jpeg.cache, "folders", lambda: [tmp_path])
    monkeypatch.setattr(loading, "_build_kernel", fail)

    reason = loading._load(print, may_compile=True).reason
    assert reason.startswith("numba 0.")
    assert reason.endswith(" does not compile it: a reason")


def test_unreadable_sources_are_a_reason_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise PermissionError("no permission")

    monkeypatch.setattr(loading, "sources_digest", fail)

    assert LoadResult(None, "it cannot be loaded: no permission") == loading._load(print, may_compile=False)


def test_a_numba_that_cannot_be_imported_is_not_reported_as_missing(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.0 or less')")
    code = "from im2rec.jpeg.loading import load; print(load().reason)"
    done = python(
        code, environment={"PYTHONPATH": os.pathsep.join([str(tmp_path), ROOT]), "IM2REC_CACHE": str(tmp_path)}
    )

    assert "numba cannot be imported: Numba needs NumPy 1.0 or less\n" == done.stdout


def test_a_missing_numba_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)

    assert LoadResult(None, "numba is not installed") == im2rec.jpeg.loading._load(print, may_compile=True)


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
