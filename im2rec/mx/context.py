"""Contexts, by MXNet's names: labels of devices, which change nothing, as all arrays are in the memory of the CPU."""

from __future__ import annotations

import threading
from typing import Any, NoReturn

from im2rec.errors import ParameterError
from im2rec.mx.missing import missing

__path__: list[str] = []  # so that `from mxnet.context import x` asks the finders, which say what is there
__all__ = ["Context", "cpu", "cpu_pinned", "current_context", "gpu", "num_gpus"]
DEVICE_TYPES = {"cpu": 1, "gpu": 2, "cpu_pinned": 3, "cpu_shared": 5}  # the numbers in MXNet's array files
_LOCAL = threading.local()  # holds the contexts of the with blocks that this thread is in, the innermost last


class Context:
    """A device: *device_type* is ``cpu``, ``gpu``, ``cpu_pinned`` or ``cpu_shared``; *device_id* is its number.

    ``with mx.cpu(1):`` makes it the context of the arrays that the block makes. Two contexts are equal if type and
    number are. Raises ParameterError for another type.

    Source: mxnet python/mxnet/context.py, ``Context``.
    """

    default_ctx: Context  # where no with block sets another

    def __init__(self, device_type: str | Context, device_id: int = 0) -> None:
        if isinstance(device_type, Context):
            self.device_type: str = device_type.device_type
            self.device_id: int = device_type.device_id
            return
        if device_type not in DEVICE_TYPES:
            raise ParameterError(f"device_type={device_type!r} must be {', '.join(DEVICE_TYPES)}")
        self.device_type, self.device_id = device_type, device_id

    @property
    def device_typeid(self) -> int:
        """Number of the device type, as array files have it."""
        return DEVICE_TYPES[self.device_type]

    def empty_cache(self) -> None:
        """Do nothing: there is no memory of a device to free."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, int]:
        return self.device_type, self.device_id

    def __repr__(self) -> str:
        return f"{self.device_type}({self.device_id})"

    def __enter__(self) -> Context:
        _blocks().append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _blocks().pop()


Context.default_ctx = Context("cpu")


def _blocks() -> list[Context]:
    blocks: list[Context] | None = getattr(_LOCAL, "blocks", None)
    if blocks is None:
        blocks = _LOCAL.blocks = []
    return blocks


def cpu(device_id: int = 0) -> Context:
    """Return the context of the CPU."""
    return Context("cpu", device_id)


def cpu_pinned(device_id: int = 0) -> Context:
    """Return the context of page-locked memory of the CPU."""
    return Context("cpu_pinned", device_id)


def gpu(device_id: int = 0) -> Context:
    """Return the context of a GPU, which no array is ever copied to."""
    return Context("gpu", device_id)


def num_gpus() -> int:
    """Return 0: no array can be on a GPU here."""
    return 0


def current_context() -> Context:
    """Return the context of the innermost ``with`` block of this thread, else ``cpu(0)``."""
    blocks = _blocks()
    return blocks[-1] if blocks else Context.default_ctx


def context_of(ctx: Any) -> Context:
    """Return *ctx* as a Context, and the current one for None. Raises ParameterError for anything else."""
    if ctx is None:
        return current_context()
    if not isinstance(ctx, Context):
        raise ParameterError(f"ctx={ctx!r} must be a context", hint="mx.cpu() is one")
    return ctx


def __getattr__(name: str) -> NoReturn:
    raise missing("mx.context", name, __all__)
