"""Loading and compiling the decoder, and the reasons why there may be none."""

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
from im2rec import parallel
from im2rec.jpeg import loading
from im2rec.jpeg.loading import LoadResult, load, sources_digest

pytest.importorskip("numba")
PRINT = """
from im2rec.jpeg.loading import load
loaded = load(ARGUMENTS)
print(loaded.kernel and loaded.kernel.name, loaded.reason)
"""


def printed(arguments: str = "", only: Path | None = None, **environment: str) -> str:
    code = (ONLY_FOLDER if only else "") + PRINT.replace("ARGUMENTS", arguments)
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
    assert "None NUMBA_DISABLE_JIT is set" == printed(NUMBA_DISABLE_JIT="1")


def test_stored_code_is_loaded_and_not_compiled_again(compiled: Path, tmp_path: Path) -> None:
    assert "None it is not compiled yet; run 'im2rec compile'" == printed("may_compile=False", only=tmp_path / "empty")
    before = {path.name: path.read_bytes() for path in compiled.iterdir()}
    for arguments in ("may_compile=False", ""):
        assert printed(arguments, only=compiled).startswith("numba 0.")
    assert before == {path.name: path.read_bytes() for path in compiled.iterdir()}


def test_the_room_asked_for_is_twice_that_of_all_compiled_code(compiled: Path) -> None:
    files = [path for path in compiled.iterdir() if path.suffix == ".kernel"]

    assert 3 == len(files)
    assert sum(path.stat().st_size for path in files) < im2rec.jpeg.cache._NEEDED_BYTES // 2


def test_without_stored_code_numba_is_not_imported(tmp_path: Path) -> None:
    code = ONLY_FOLDER + PRINT.replace("ARGUMENTS", "may_compile=False") + "import sys; print('numba' in sys.modules)"

    assert f"None {loading.NOT_YET}\nFalse\n" == python(code, tmp_path).stdout


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


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="needs fork")
def test_a_fork_waits_for_the_lock_of_loading_and_both_processes_release_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Called first is what is registered last: the wait for the threads that may load it."""
    hooks: list[dict[str, Callable[[], object]]] = []
    monkeypatch.setattr(os, "register_at_fork", lambda **given: hooks.append(given))
    loading._delay_forks_while_loading()
    lock, forks = loading._LOADING, parallel._forks

    assert [
        {"before": lock.acquire, "after_in_parent": loading._let_load, "after_in_child": loading._let_load},
        {"before": forks.begin, "after_in_parent": forks.end, "after_in_child": forks.reset},
    ] == hooks
    lock.acquire()
    loading._let_load()
    loading._let_load()  # as when it is registered once more while a fork waits
    assert not lock._is_owned()  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_a_fork_while_a_thread_loads_does_not_hang_the_child(delay: float) -> None:
    load()  # so that it is in the cache
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK.replace("{delay}", str(delay))],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "0\n" == done.stdout


# With three small functions in place of the decoder's, which are compiled in a moment.


def decode(number: int) -> int:
    return number + 1


def fill_table(number: int) -> int:
    return number * 2


def resize(number: int) -> int:
    return number - 3


COMPILING = "compiling the decoder, which takes some seconds"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder for compiled code, which does not exist yet; the kernel consists of small functions."""
    from numba import types  # noqa: PLC0415 - numba may be missing

    from im2rec.jpeg import entry  # noqa: PLC0415

    signature = types.int64(types.int64)
    functions = [(function, signature) for function in (decode, fill_table, resize)]
    monkeypatch.setattr(entry, "FUNCTIONS", functions)
    monkeypatch.setattr(loading, "_results", {})
    monkeypatch.setattr(im2rec.jpeg.cache, "folders", lambda: [tmp_path / "code"])
    return tmp_path / "code"


def kinds_in(folder: Path) -> list[str]:
    """The functions of which *folder* has code."""
    return sorted(path.name.split(".")[0] for path in folder.glob("*.kernel"))


ALL = ["im2rec-decode", "im2rec-fill_table", "im2rec-resize"]


def computes(kernel: object) -> list[int]:
    return [kernel._decode(10), kernel._fill(10), kernel._resize(10)]  # type: ignore[attr-defined]


def test_code_is_compiled_once_stored_and_loaded_afterwards(folder: Path) -> None:
    lines: list[str] = []
    first = loading.compile_ahead(tell=lines.append)
    stored = {path.name: path.read_bytes() for path in folder.glob("*.kernel")}
    second = loading.compile_ahead(tell=lines.append)

    assert (True, False) == (first.compiled, second.compiled)
    assert [folder] * 2 == [first.folder, second.folder]
    assert first.name == second.name
    assert first.name.startswith("numba 0.")
    assert [COMPILING] == lines
    assert ALL == kinds_in(folder)
    assert stored == {path.name: path.read_bytes() for path in folder.glob("*.kernel")}
    loaded = loading._load_stored()
    assert [11, 20, 7] == computes(loaded.kernel)
    assert (False, folder) == (loaded.compiled, loaded.folder)


def test_functions_are_compiled_for_one_signature_only(folder: Path) -> None:
    loading.compile_ahead()
    kernel = loading._load_stored().kernel

    with pytest.raises(TypeError, match="No matching definition"):
        kernel._decode(1j)
    assert ALL == kinds_in(folder)


@pytest.mark.usefixtures("folder")
def test_compiled_functions_release_the_gil() -> None:
    kernel = loading._load_or_compile().kernel

    assert kernel._decode.targetoptions["nogil"]


@pytest.mark.usefixtures("folder")
def test_force_compiles_code_that_is_stored_already() -> None:
    loading.compile_ahead()
    lines: list[str] = []

    assert loading.compile_ahead(force=True, tell=lines.append).compiled
    assert [COMPILING] == lines


def test_compiling_removes_code_of_other_sources(folder: Path) -> None:
    folder.mkdir()
    old = folder / im2rec.jpeg.cache.file_name("decode", 1, "machine")
    old.touch()
    loading.compile_ahead()

    assert not old.exists()
    assert ALL == kinds_in(folder)


def test_a_dry_run_writes_nothing_and_foresees_what_happens(folder: Path) -> None:
    before = loading.compile_ahead(dry_run=True)
    assert (True, folder) == (before.compiled, before.folder)
    assert before.name.startswith("numba 0.")
    assert not folder.exists()

    loading.compile_ahead()
    after = loading.compile_ahead(dry_run=True)
    assert (False, folder) == (after.compiled, after.folder)
    assert after.name.startswith("numba 0.")
    assert loading.compile_ahead(dry_run=True, force=True).compiled


def test_load_remembers_a_kernel_but_not_that_none_is_stored_yet(folder: Path) -> None:
    assert LoadResult(None, loading.NOT_YET) == load(may_compile=False)
    assert loading.NOT_YET == loading.unavailable_reason()

    loading.compile_ahead()
    assert "" == loading.unavailable_reason()
    kernel = load(may_compile=False).kernel
    assert kernel is not None
    shutil.rmtree(folder)
    assert LoadResult(kernel) == load()
    assert LoadResult(kernel) == load(may_compile=False)


def test_load_compiles_and_remembers_even_that_it_cannot(folder: Path) -> None:
    folder.touch()  # a file in its place
    problem = load()
    assert problem.kernel is None
    assert "compiled code cannot be kept" in problem.reason

    folder.unlink()
    assert problem == load()
    loading._results.clear()
    lines: list[str] = []
    assert [11, 20, 7] == computes(load(tell=lines.append).kernel)
    assert [COMPILING] == lines


@pytest.mark.parametrize("size", [0, 1, 100, -1])
@pytest.mark.parametrize("function", ["decode", "fill_table", "resize"])
def test_a_damaged_file_is_not_loaded_but_compiled_again(folder: Path, function: str, size: int) -> None:
    loading.compile_ahead()
    (file,) = folder.glob(f"im2rec-{function}.*")
    file.write_bytes(file.read_bytes()[:size])

    assert LoadResult(None, loading.NOT_YET) == loading._load(print, may_compile=False)
    assert loading.compile_ahead(dry_run=True).compiled
    assert loading.compile_ahead().compiled
    assert not loading.compile_ahead().compiled


def test_an_intact_file_that_numba_cannot_load_counts_as_not_compiled(folder: Path) -> None:
    loading.compile_ahead()
    (file,) = folder.glob("im2rec-decode.*")
    im2rec.jpeg.cache.write(folder, file.name, pickle.dumps("of another numba"))

    assert LoadResult(None, loading.NOT_YET) == loading._load(print, may_compile=False)


def test_code_that_another_process_has_just_compiled_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loading.compile_ahead()
    content = {path.name: path.read_bytes() for path in folder.glob("*.kernel")}
    lines: list[str] = []

    @contextlib.contextmanager
    def waits_for_the_other(folder: Path, waiting: Callable[[], None]) -> Iterator[bool]:
        waiting()
        for name, data in content.items():
            (folder / name).write_bytes(data)
        yield True

    shutil.rmtree(folder)
    monkeypatch.setattr(im2rec.jpeg.cache, "locked", waits_for_the_other)
    done = loading.compile_ahead(tell=lines.append)

    assert (False, folder) == (done.compiled, done.folder)
    assert ["another process is compiling the decoder; waiting for it"] == lines


@pytest.mark.usefixtures("folder")
def test_code_that_was_stored_before_the_lock_was_free_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loading.compile_ahead()
    stored = loading._load_stored()
    answers = iter([None, stored])
    monkeypatch.setattr(loading, "_load_stored_or_none", lambda: next(answers))
    monkeypatch.setattr(loading, "_compile_and_store", lambda *_, **__: pytest.fail("compiles"))

    assert stored is loading._load_or_compile()


def test_after_waiting_for_a_process_that_stored_nothing_the_lock_is_taken_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([True, False])

    @contextlib.contextmanager
    def locked(_: Path, __: Callable[[], None]) -> Iterator[bool]:
        yield next(waits)

    monkeypatch.setattr(im2rec.jpeg.cache, "locked", locked)

    assert loading.compile_ahead().compiled
    assert [] == list(waits)
    assert ALL == kinds_in(folder)


def test_a_checked_build_is_compiled_but_neither_stored_nor_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numba  # noqa: PLC0415

    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    with pytest.raises(loading.NoKernelError, match="NUMBA_BOUNDSCHECK is set") as caught:
        loading.compile_ahead()
    assert "unset NUMBA_BOUNDSCHECK" == caught.value.hint
    built = loading._load_or_compile()
    assert [11, 20, 7] == computes(built.kernel)
    assert built.folder is None
    assert [] == kinds_in(folder)

    monkeypatch.setattr(numba.config, "BOUNDSCHECK", None)
    loading.compile_ahead()
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 0)
    assert LoadResult(None, loading._CHECKED) == loading._load(print, may_compile=False)


def test_code_compiled_with_other_settings_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba  # noqa: PLC0415

    loading.compile_ahead()
    for name in ("OPT", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE"):
        with monkeypatch.context() as patch:
            patch.setattr(numba.config, name, 77)
            assert LoadResult(None, loading.NOT_YET) == loading._load(print, may_compile=False), name
    assert loading._load(print, may_compile=False).kernel is not None
    assert ALL == kinds_in(folder)


def test_code_compiled_by_another_numba_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba  # noqa: PLC0415

    loading.compile_ahead()
    monkeypatch.setattr(numba, "__version__", "0.1")

    assert LoadResult(None, loading.NOT_YET) == loading._load(print, may_compile=False)
    assert ALL == kinds_in(folder)


class Uncached:
    """A numba whose functions have no cache."""

    __version__ = "9.9"

    class config:  # noqa: N801
        BOUNDSCHECK = None

    @staticmethod
    def njit(**_: object) -> Callable[[object], object]:
        return lambda function: function


def test_a_numba_without_the_known_cache_is_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_numba", Uncached)
    with pytest.raises(loading.NoKernelError) as caught:
        loading.compile_ahead()

    assert "numba 9.9 keeps compiled code in a way that is not known" == caught.value.problem
    assert [] == kinds_in(folder)


def test_a_compiler_that_is_not_disabled_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")

    assert loading.compile_ahead().compiled
    assert ALL == kinds_in(folder)


def test_reasons_why_there_can_be_no_kernel_have_a_hint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba  # noqa: PLC0415

    def failure() -> tuple[str, str]:
        with pytest.raises(loading.NoKernelError) as caught:
            loading.compile_ahead()
        return caught.value.problem, caught.value.hint

    with monkeypatch.context() as patch:
        patch.setenv("IM2REC_KERNEL", "0")
        assert ("IM2REC_KERNEL=0 turns it off", "unset IM2REC_KERNEL") == failure()
        assert "IM2REC_KERNEL=0 turns it off" == loading.unavailable_reason()
    with monkeypatch.context() as patch:
        patch.setattr(loading.sys, "byteorder", "big")
        assert ("it is made for little-endian machines", "") == failure()
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        assert ("NUMBA_DISABLE_JIT is set", "unset NUMBA_DISABLE_JIT") == failure()
    with monkeypatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", 1)
        assert ("NUMBA_DISABLE_JIT is set", "unset NUMBA_DISABLE_JIT") == failure()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "numba", None)
        assert ("numba is not installed", "pip install 'im2rec[fast]'") == failure()
    assert [] == kinds_in(folder)


def test_forced_compiling_checks_the_settings_before_it_makes_a_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    for dry_run in (True, False):
        with pytest.raises(loading.NoKernelError, match="IM2REC_KERNEL=0"):
            loading.compile_ahead(force=True, dry_run=dry_run)
    assert not folder.exists()


def test_an_error_without_a_message_is_reported_by_its_name() -> None:
    assert "ValueError" == loading._one_line(ValueError(" "))
    assert "a reason" == loading._one_line(ValueError(" a reason\nand more"))
