"""Bring the compiled decoder into the process: from files of compiled code, or by compiling it.

Compiling takes some seconds, once for each machine; :mod:`im2rec.jpeg.cache` keeps the result. It is of use to the same
sources, numba and CPU alone, so the names of the files hold a digest of each. A build with checks everywhere is never
kept.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see _hold_at_fork
import functools
import hashlib
import importlib.util
import logging  # noqa: F401
import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from im2rec.errors import Im2RecError
from im2rec.jpeg import cache
from im2rec.jpeg.kernel import Compiled, Kernel

OFF = "IM2REC_KERNEL"  # in the environment, 0
NOT_YET = "it is not compiled yet; run 'im2rec compile'"
# Settings of numba that change the code, and are no part of what it says of a machine.
_SETTINGS = ("OPT", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")
_TURNED_OFF = f"{OFF}=0 turns it off"
_NO_JIT = "NUMBA_DISABLE_JIT is set"
_CHECKED = "NUMBA_BOUNDSCHECK is set, and code that checks all indices is not kept"
_LOADING = threading.RLock()
_held: set[str] = set()  # the modules after which _hold_at_fork was called


def _hold_at_fork() -> None:
    """Let nobody fork while a thread loads, which would leave the child with numba's locks taken, for ever.

    What is registered last is called first. It has to come before the locks that other modules take at a fork, or
    the loading would wait for theirs, and they for it: so those modules are imported above, and this is called again
    after numba, with all that it imports, has come in.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_LOADING.acquire, after_in_parent=_LOADING.release, after_in_child=_LOADING.release)


_hold_at_fork()


class LoadResult(NamedTuple):
    """The kernel, or None and the *reason* in a sentence."""

    kernel: Kernel | None
    reason: str = ""


class NoKernelError(Im2RecError):
    """There is no kernel, for the reason that is said."""


class _NotStoredError(NoKernelError):
    """No file holds it, which compiling can change."""


class Compilation(NamedTuple):
    """The kernel's *name*, whether it is *compiled* now (or would be), and the *folder* that it is kept in."""

    name: str
    compiled: bool
    folder: Path


class _ReadyKernel(NamedTuple):
    """A kernel that is ready; *folder* is None where it is not kept."""

    kernel: Kernel
    compiled: bool
    folder: Path | None


_known: dict[str, LoadResult] = {}


def load(*, may_compile: bool = True, tell: Callable[[str], None] = lambda _: None) -> LoadResult:
    """The kernel, the same one each time, or why there is none. Where not *may_compile* it comes from files alone.

    *tell* gets a line of what goes on. Never raises. Whether it is turned off is asked each time.
    """
    if os.environ.get(OFF) == "0":
        return LoadResult(None, _TURNED_OFF)
    with _LOADING:
        if "final" not in _known:
            loaded = _load(tell, may_compile=may_compile)
            if loaded.kernel is None and not may_compile:
                return loaded
            _known["final"] = loaded
        return _known["final"]


def why_none() -> str:
    """The reason why there is no kernel, as far as it can be told without loading it; else nothing. Takes 1 ms."""
    try:
        _check_settings()
    except NoKernelError as error:
        return error.problem
    return "" if cache.holds_any(sources_digest()) else NOT_YET


def _load(tell: Callable[[str], None], *, may_compile: bool) -> LoadResult:
    try:
        return LoadResult((_found_or_compiled(tell=tell) if may_compile else _found()).kernel)
    except Im2RecError as error:
        return LoadResult(None, error.problem)
    except Exception as error:  # noqa: BLE001 - its own sources that cannot be read, say: none is the user's
        return LoadResult(None, f"it cannot be loaded: {_one_line(error)}")


def compile_ahead(
    *, anew: bool = False, dry_run: bool = False, tell: Callable[[str], None] = lambda _: None
) -> Compilation:
    """Compile the kernel, unless a file holds it and it is not to be made *anew*; *tell* gets a line of what goes on.

    With *dry_run* nothing is written. Raises NoKernelError and OutputError where there can be no kernel.
    """
    with _LOADING:
        if dry_run:
            _check_settings()
            if not anew and (found := _looked_up()):
                assert found.folder is not None
                return Compilation(found.kernel.name, False, found.folder)
            return Compilation(_name(), True, cache.likely_folder())
        made = _found_or_compiled(anew=anew, tell=tell, must_keep=True)
        assert made.folder is not None
        return Compilation(made.kernel.name, made.compiled, made.folder)


def _found_or_compiled(
    *, anew: bool = False, tell: Callable[[str], None] = lambda _: None, must_keep: bool = False
) -> _ReadyKernel:
    """The kernel from files, or compiled by one process at a time. Raises NoKernelError, OutputError.

    The lock is taken before numba is imported, so that many who wait need little memory.
    """
    _check_settings()
    while True:
        if not anew and (found := _looked_up()):
            return found
        folder = cache.writable_folder()
        with cache.locked(folder, lambda: tell("another process is compiling the decoder; waiting for it")) as waited:
            if not waited or anew:
                if not anew and (found := _looked_up()):  # the other one has just let go of the lock
                    return found
                return _compiled(folder, tell, must_keep=must_keep)


def _check_settings() -> None:
    """Raise NoKernelError where there can be no kernel; without importing numba, which takes half a second."""
    if os.environ.get(OFF) == "0":
        raise NoKernelError(_TURNED_OFF, hint=f"unset {OFF}")
    if sys.byteorder != "little":
        raise NoKernelError("it is made for little-endian machines")
    if importlib.util.find_spec("numba") is None:
        raise NoKernelError("numba is not installed", hint="pip install 'im2rec[fast]'")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}:
        raise NoKernelError(_NO_JIT, hint="unset NUMBA_DISABLE_JIT")


def _numba() -> Any:
    """The module, imported. Raises NoKernelError."""
    _check_settings()
    try:
        import numba  # noqa: PLC0415 - it takes half a second
    except Exception as error:  # a numba that does not fit this numpy or Python
        problem = f"numba cannot be imported: {_one_line(error)}"
        raise NoKernelError(problem, hint="pip install --upgrade 'im2rec[fast]'") from error
    if "numba" not in _held:
        _hold_at_fork()
        _held.add("numba")
    if numba.config.DISABLE_JIT:  # which can be set in a file too
        raise NoKernelError(_NO_JIT, hint="unset NUMBA_DISABLE_JIT")
    return numba


def _name() -> str:
    return f"numba {_numba().__version__}"


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@functools.cache
def sources_digest() -> int:
    """A number of 60 bits that changes with any source of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return int(digest.hexdigest()[:15], 16)


def _looked_up() -> _ReadyKernel | None:
    """The kernel from files; None where they do not hold it. Raises NoKernelError where there can be none."""
    try:
        return _found()
    except _NotStoredError:
        return None


def _found() -> _ReadyKernel:
    """The kernel from files. Raises NoKernelError."""
    _check_settings()
    if not cache.holds_any(sources_digest()):  # a quick look, before numba is imported
        raise _NotStoredError(NOT_YET)
    if _is_checked():
        raise _NotStoredError(_CHECKED)
    return _made(None, keeps=True)


def _compiled(folder: Path, tell: Callable[[str], None], *, must_keep: bool) -> _ReadyKernel:
    """The kernel, compiled and kept in *folder*; only for who holds its lock. Raises NoKernelError, OutputError."""
    keeps = not _is_checked()
    if must_keep and not keeps:
        raise NoKernelError(_CHECKED, hint="unset NUMBA_BOUNDSCHECK")
    tell("compiling the decoder, which takes some seconds")
    if keeps:
        cache.remove_old(folder, sources_digest())
    try:
        return _made(folder, keeps=keeps)
    except Im2RecError:
        raise
    except Exception as error:  # a compiler's errors are of many kinds, and none is the user's
        hint = "report it, with the output of im2rec compile --debug; meanwhile images are decoded without it"
        raise NoKernelError(f"{_name()} does not compile it: {_one_line(error)}", hint=hint) from error


def _is_checked() -> bool:
    return _numba().config.BOUNDSCHECK is not None


def _made(folder: Path | None, *, keeps: bool) -> _ReadyKernel:
    """The functions that Python calls, with all that they call, and nothing left to be compiled later."""
    name = _name()
    from im2rec.jpeg import entry  # noqa: PLC0415 - it imports numba

    kept = _CodeStore(folder, keeps=keeps)
    decode, fill_table, resize = (_compile(function, signature, kept) for function, signature in entry.FUNCTIONS)
    kernel = Kernel(Compiled(decode, fill_table, resize, entry.SIZES), name)
    return _ReadyKernel(kernel, folder is not None, kept.folder if keeps else None)


def _compile(function: Any, signature: Any, kept: _CodeStore) -> Any:
    """*function* for *signature* alone: from *kept*, or compiled and given to it."""
    made = _numba().njit(nogil=True, error_model="numpy", _nrt=False)(function)
    if not hasattr(made, "_cache"):
        raise NoKernelError(f"{_name()} keeps compiled code in a way that is not known")
    made._cache = kept.of(function.__name__)  # noqa: SLF001 - numba's own would come here
    made.compile(signature)
    made.disable_compile()
    return made


class _CodeStore:
    """Files of compiled functions, each in the place of numba's cache.

    Without a *folder* functions come from files, and one that no file holds ends it; else they are compiled, and with
    *keeps* written to the folder.
    """

    def __init__(self, folder: Path | None, *, keeps: bool) -> None:
        self.folder = folder
        self._looks = folder is None
        self._keeps = keeps

    def of(self, function: str) -> _FunctionCache:
        return _FunctionCache(self, function)

    def read(self, name: str) -> bytes | None:
        """The content of the file *name*; None where the function is to be compiled. Raises _NotStoredError."""
        if not self._looks:
            return None
        found = cache.read(name)
        if found is None:
            raise _NotStoredError(NOT_YET)
        self.folder = found.folder
        return found.content

    def write(self, name: str, reduced: Any) -> None:
        """Keep what numba has reduced a compiled function to. Raises OutputError."""
        from numba.core.serialize import dumps  # noqa: PLC0415

        if self._keeps and self.folder is not None:
            cache.write(self.folder, name, dumps(reduced))


class _FunctionCache:
    """The calls that numba makes to the cache of a function."""

    cache_path = None

    def __init__(self, kept: _CodeStore, function: str) -> None:
        self._kept = kept
        self._function = function
        self._name = ""

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled function, or None where it is to be compiled."""
        from numba.core.compiler import CompileResult  # noqa: PLC0415

        target.refresh()  # or it does not know its CPU yet
        numba = _numba()
        settings = [getattr(numba.config, name, None) for name in _SETTINGS]
        key = repr((numba.__version__, target.codegen().magic_tuple(), settings, str(signature)))
        machine = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._name = cache.name_of(self._function, sources_digest(), machine)
        content = self._kept.read(self._name)
        if content is None:
            return None
        try:
            return CompileResult._rebuild(target, *pickle.loads(content))  # noqa: S301, SLF001 - its seal is whole
        except Exception as error:
            raise _NotStoredError(NOT_YET) from error

    def save_overload(self, _: Any, result: Any) -> None:
        """Keep the compiled function."""
        self._kept.write(self._name, result._reduce())  # noqa: SLF001
