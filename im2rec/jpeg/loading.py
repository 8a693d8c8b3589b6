"""Load the compiled decoder ("the kernel"): from files of compiled code, or by compiling it.

Compiling takes some seconds, once for each machine; :mod:`im2rec.jpeg.cache` stores the result. Compiled code fits only
the sources, the numba and the CPU that it was made for, so the names of the files hold a digest of each. Code that
checks all indices (``NUMBA_BOUNDSCHECK``) is never stored: it is slow, and would be found by every later program.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see _delay_forks_while_loading
import contextlib
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
from im2rec.parallel import delay_forks

OFF = "IM2REC_KERNEL"  # in the environment, 0
NOT_YET = "it is not compiled yet; run 'im2rec compile'"
# Settings of numba that change the code, and are not part of its description of a machine (magic_tuple).
_SETTINGS = ("OPT", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")
_SWITCHED_OFF = f"{OFF}=0 turns it off"
_NO_JIT = "NUMBA_DISABLE_JIT is set"
_CHECKED = "NUMBA_BOUNDSCHECK is set, and code that checks all indices is not kept"
_LOADING = threading.RLock()
_modules_hooked: set[str] = set()  # the modules after which _delay_forks_while_loading was called


def _delay_forks_while_loading() -> None:
    """Delay every fork until no thread loads the decoder; else the child would inherit locks of numba, held for ever.

    The handler registered last is called first at a fork. This one has to run before those by which other modules take
    their locks, or the loading thread would wait for their locks and they for its own. So those modules are imported
    above, and this is called again once numba, with all that it imports, has been imported.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_LOADING.acquire, after_in_parent=_let_load, after_in_child=_let_load)
    delay_forks()  # the threads that a fork waits for may load the decoder


def _let_load() -> None:
    with contextlib.suppress(RuntimeError):  # registered while a fork waited, and so not acquired before it
        _LOADING.release()


_delay_forks_while_loading()


class LoadResult(NamedTuple):
    """The *kernel*, or None and the *reason* in a sentence."""

    kernel: Kernel | None
    reason: str = ""


class NoKernelError(Im2RecError):
    """The compiled decoder is not available; the message says why."""


class _NotStoredError(NoKernelError):
    """No file holds the compiled decoder; it can be compiled."""


class Compilation(NamedTuple):
    """The kernel's *name*, True if it was *compiled* (or would be) and not loaded, and the *folder* it is stored in."""

    name: str
    compiled: bool
    folder: Path


class _ReadyKernel(NamedTuple):
    """A loaded kernel; *folder* is None if it is not stored."""

    kernel: Kernel
    compiled: bool
    folder: Path | None


_results: dict[str, LoadResult] = {}


def load(*, may_compile: bool = True, tell: Callable[[str], None] = lambda _: None) -> LoadResult:
    """Return the kernel, the same object each time, or the reason why there is none. Never raises.

    If not *may_compile*, it is only loaded from files. *tell* is called with a line when something takes long. The
    environment is examined at each call, so that the decoder can be switched off at any time.
    """
    if os.environ.get(OFF) == "0":
        return LoadResult(None, _SWITCHED_OFF)
    with _LOADING:
        if "final" not in _results:
            loaded = _load(tell, may_compile=may_compile)
            if loaded.kernel is None and not may_compile:
                return loaded
            _results["final"] = loaded
        return _results["final"]


def unavailable_reason() -> str:
    """The reason why there is no kernel, or an empty string if there seems to be one. Takes 1 ms: nothing is loaded."""
    try:
        _check_settings()
    except NoKernelError as error:
        return error.problem
    return "" if cache.has_code(sources_digest()) else NOT_YET


def _load(tell: Callable[[str], None], *, may_compile: bool) -> LoadResult:
    try:
        return LoadResult((_load_or_compile(tell=tell) if may_compile else _load_stored()).kernel)
    except Im2RecError as error:
        return LoadResult(None, error.problem)
    except Exception as error:  # noqa: BLE001 - such as sources that cannot be read: none is the user's fault
        return LoadResult(None, f"it cannot be loaded: {_one_line(error)}")


def compile_ahead(
    *, force: bool = False, dry_run: bool = False, tell: Callable[[str], None] = lambda _: None
) -> Compilation:
    """Compile the kernel if no file holds it, or in any case if *force*; *tell* is called with lines of progress.

    With *dry_run* nothing is written. Raises NoKernelError if there can be no kernel, OutputError if no folder can
    store it.
    """
    with _LOADING:
        if dry_run:
            _check_settings()
            if not force and (stored := _load_stored_or_none()):
                assert stored.folder is not None
                return Compilation(stored.kernel.name, False, stored.folder)
            return Compilation(_compiler_name(), True, cache.expected_folder())
        ready = _load_or_compile(force=force, tell=tell, must_store=True)
        assert ready.folder is not None
        return Compilation(ready.kernel.name, ready.compiled, ready.folder)


def _load_or_compile(
    *, force: bool = False, tell: Callable[[str], None] = lambda _: None, must_store: bool = False
) -> _ReadyKernel:
    """The kernel, loaded from files, or compiled by one process at a time. Raises NoKernelError, OutputError.

    The lock is taken before numba is imported, so that many processes that wait for it need little memory.
    """
    _check_settings()
    while True:
        if not force and (stored := _load_stored_or_none()):
            return stored
        folder = cache.writable_folder()
        with cache.locked(folder, lambda: tell("another process is compiling the decoder; waiting for it")) as waited:
            if not waited or force:
                if not force and (stored := _load_stored_or_none()):  # another process may have stored it just before
                    return stored
                return _compile_and_store(folder, tell, must_store=must_store)


def _check_settings() -> None:
    """Raise NoKernelError if there can be no kernel; without importing numba, which takes half a second."""
    if os.environ.get(OFF) == "0":
        raise NoKernelError(_SWITCHED_OFF, hint=f"unset {OFF}")
    if sys.byteorder != "little":
        raise NoKernelError("it is made for little-endian machines")
    if importlib.util.find_spec("numba") is None:
        raise NoKernelError("numba is not installed", hint="pip install 'im2rec[fast]'")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}:
        raise NoKernelError(_NO_JIT, hint="unset NUMBA_DISABLE_JIT")


def _numba() -> Any:
    """Import numba and return it. Raises NoKernelError."""
    _check_settings()
    try:
        import numba  # noqa: PLC0415 - it takes half a second
    except Exception as error:  # a numba that does not fit this numpy or Python
        problem = f"numba cannot be imported: {_one_line(error)}"
        raise NoKernelError(problem, hint="pip install --upgrade numba") from error
    if "numba" not in _modules_hooked:
        _delay_forks_while_loading()
        _modules_hooked.add("numba")
    if numba.config.DISABLE_JIT:  # which can be set in a file too
        raise NoKernelError(_NO_JIT, hint="unset NUMBA_DISABLE_JIT")
    return numba


def _compiler_name() -> str:
    return f"numba {_numba().__version__}"


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@functools.cache
def sources_digest() -> int:
    """A number of 60 bits that changes with any source file of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return int(digest.hexdigest()[:15], 16)


def _load_stored_or_none() -> _ReadyKernel | None:
    """The kernel from files; None if they do not hold it. Raises NoKernelError if there can be none."""
    try:
        return _load_stored()
    except _NotStoredError:
        return None


def _load_stored() -> _ReadyKernel:
    """The kernel from files. Raises NoKernelError."""
    _check_settings()
    if not cache.has_code(sources_digest()):  # a quick look, before numba is imported
        raise _NotStoredError(NOT_YET)
    if _is_checked():
        raise _NotStoredError(_CHECKED)
    return _build_kernel(None, is_stored=True)


def _compile_and_store(folder: Path, tell: Callable[[str], None], *, must_store: bool) -> _ReadyKernel:
    """Compile the kernel and store it in *folder*, whose lock is held. Raises NoKernelError, OutputError."""
    is_stored = not _is_checked()
    if must_store and not is_stored:
        raise NoKernelError(_CHECKED, hint="unset NUMBA_BOUNDSCHECK")
    tell("compiling the decoder, which takes some seconds")
    if is_stored:
        cache.remove_old(folder, sources_digest())
    try:
        return _build_kernel(folder, is_stored=is_stored)
    except Im2RecError:
        raise
    except Exception as error:  # a compiler's errors are of many kinds, and none is the user's fault
        hint = "report it, with the output of im2rec compile --debug; meanwhile images are decoded without it"
        raise NoKernelError(f"{_compiler_name()} does not compile it: {_one_line(error)}", hint=hint) from error


def _is_checked() -> bool:
    return _numba().config.BOUNDSCHECK is not None


def _build_kernel(folder: Path | None, *, is_stored: bool) -> _ReadyKernel:
    """Load or compile the functions of entry.py, with all that they call, so that nothing is compiled later."""
    name = _compiler_name()
    from im2rec.jpeg import entry  # noqa: PLC0415 - it imports numba

    store = _CodeStore(folder, is_stored=is_stored)
    made = [_compile_function(function, signature, store) for function, signature in entry.FUNCTIONS]
    decode, fill_table, resize = made
    kernel = Kernel(Compiled(decode, fill_table, resize, entry.SIZES), name)
    return _ReadyKernel(kernel, folder is not None, store.folder if is_stored else None)


def _compile_function(function: Any, signature: Any, store: _CodeStore) -> Any:
    """Compile *function* for *signature* only, or load it from *store*."""
    made = _numba().njit(nogil=True, error_model="numpy", _nrt=False)(function)
    if not hasattr(made, "_cache"):
        raise NoKernelError(f"{_compiler_name()} keeps compiled code in a way that is not known")
    made._cache = store.of(function.__name__)  # noqa: SLF001 - numba's own would come here
    made.compile(signature)
    made.disable_compile()
    return made


class _CodeStore:
    """Files of compiled functions, in place of numba's own cache.

    Without a *folder* functions are only read, and one that no file holds raises _NotStoredError. With a *folder* they
    are compiled, and written there if *is_stored*.
    """

    def __init__(self, folder: Path | None, *, is_stored: bool) -> None:
        self.folder = folder
        self._reads = folder is None
        self._stores = is_stored

    def of(self, function: str) -> _FunctionCache:
        """Return the cache of the function named *function*, as numba uses it."""
        return _FunctionCache(self, function)

    def read(self, name: str) -> bytes | None:
        """The content of the file *name*; None if the function is to be compiled. Raises _NotStoredError."""
        if not self._reads:
            return None
        found = cache.read(name)
        if found is None:
            raise _NotStoredError(NOT_YET)
        self.folder = found.folder
        return found.content

    def write(self, name: str, reduced: Any) -> None:
        """Store a compiled function in the form to which numba has *reduced* it. Raises OutputError."""
        from numba.core.serialize import dumps  # noqa: PLC0415

        if self._stores and self.folder is not None:
            cache.write(self.folder, name, dumps(reduced))


class _FunctionCache:
    """The interface of a function's cache that numba calls (numba.core.caching, ``_Cache``)."""

    cache_path = None

    def __init__(self, store: _CodeStore, function: str) -> None:
        self._store = store
        self._function = function
        self._file_name = ""

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled function, or None if it is to be compiled."""
        from numba.core.compiler import CompileResult  # noqa: PLC0415

        target.refresh()  # before that, the target lacks the description of its CPU
        numba = _numba()
        settings = [getattr(numba.config, name, None) for name in _SETTINGS]
        key = repr((numba.__version__, target.codegen().magic_tuple(), settings, str(signature)))
        machine = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._file_name = cache.file_name(self._function, sources_digest(), machine)
        content = self._store.read(self._file_name)
        if content is None:
            return None
        try:
            return CompileResult._rebuild(target, *pickle.loads(content))  # noqa: S301, SLF001 - its digest was right
        except Exception as error:
            raise _NotStoredError(NOT_YET) from error

    def save_overload(self, _: Any, result: Any) -> None:
        """Store the compiled function."""
        self._store.write(self._file_name, result._reduce())  # noqa: SLF001
