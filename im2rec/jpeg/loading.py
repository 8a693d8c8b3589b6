"""Bring the compiled decoder into the process: from numba's cache, or by compiling it.

Compiling takes some seconds, once for each machine; numba keeps the result beside this module, or where that is not
writable in the user's cache folder. It keys it by the source of the function alone, so a digest of all sources of this
package goes in as well, as the value that a closure holds. A build with checks everywhere is never kept.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see _hold_at_fork
import functools
import hashlib
import logging  # noqa: F401
import os
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from im2rec.jpeg.kernel import Compiled, Kernel

OFF = "IM2REC_KERNEL"  # in the environment, 0
_LOADING = threading.RLock()


def _hold_at_fork() -> None:
    """Let nobody fork while a thread loads, which would leave the child with numba's locks taken, for ever.

    What is registered last is called first. It has to come before the locks that other modules take at a fork, or
    the loading would wait for theirs, and they for it: so those modules are imported above, and this is called again
    after numba, with all that it imports, has come in.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_LOADING.acquire, after_in_parent=_LOADING.release, after_in_child=_LOADING.release)


_hold_at_fork()


class Loaded(NamedTuple):
    """The kernel, or None and the *reason* in a sentence."""

    kernel: Kernel | None
    reason: str = ""


class _NoKernelError(Exception):
    """Ends the loading; its only argument is the reason."""


_known: dict[str, Loaded] = {}


def load(*, may_compile: bool = True) -> Loaded:
    """The kernel, the same one each time, or why there is none. Where not *may_compile* it comes from the cache alone.

    Never raises. Whether it is turned off is asked each time.
    """
    if os.environ.get(OFF) == "0":
        return Loaded(None, f"{OFF}=0 turns it off")
    with _LOADING:
        if "final" not in _known:
            loaded = _load(may_compile=may_compile)
            if loaded.kernel is None and not may_compile:
                return loaded
            _known["final"] = loaded
        return _known["final"]


def _load(*, may_compile: bool) -> Loaded:
    try:
        import numba  # noqa: PLC0415 - it takes half a second
    except ImportError:
        return Loaded(None, "numba is not installed")
    except Exception as error:  # noqa: BLE001 - a numba that does not fit this numpy or Python
        return Loaded(None, f"numba cannot be imported: {_one_line(error)}")
    _hold_at_fork()
    try:
        _demand(sys.byteorder == "little", "it is made for little-endian machines")
        _demand(not numba.config.DISABLE_JIT, "NUMBA_DISABLE_JIT is set")
        return Loaded(Kernel(_compiled(may_compile=may_compile), f"numba {numba.__version__}"))
    except _NoKernelError as error:
        return Loaded(None, str(error))
    except Exception as error:  # noqa: BLE001 - a compiler's errors are of many kinds, and none is the user's
        return Loaded(None, f"numba {numba.__version__} does not compile it: {_one_line(error)}")


def _demand(condition: object, reason: str) -> None:
    if not condition:
        raise _NoKernelError(reason)


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


def _compiled(*, may_compile: bool) -> Compiled:
    """The two functions that Python calls, with all that they call, and nothing left to be compiled later."""
    from im2rec.jpeg import entry  # noqa: PLC0415 - it imports numba

    made = [_compile(*function, may_compile=may_compile) for function in entry.functions(sources_digest())]
    return Compiled(made[0], made[1], entry.SIZES)


def _compile(function: Any, signature: Any, *, may_compile: bool) -> Any:
    """*function*, compiled for *signature* alone; kept, unless it has been asked for checks everywhere."""
    import numba  # noqa: PLC0415
    from numba.core import event  # noqa: PLC0415

    keeps = numba.config.BOUNDSCHECK is None
    made = numba.njit(nogil=True, error_model="numpy", cache=keeps, _nrt=False)(function)

    class Refusing(event.Listener):  # type: ignore[misc]
        def on_start(self, started: Any) -> None:
            if started.data.get("dispatcher") is made:
                raise _NoKernelError("it is not compiled yet; run 'im2rec compile'")

        def on_end(self, ended: Any) -> None:
            pass

    if may_compile:
        made.compile(signature)
    else:
        with event.install_listener("numba:compile", Refusing()):
            made.compile(signature)
    made.disable_compile()
    return made
