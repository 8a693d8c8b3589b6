"""The part of MXNet's Python package that reads and writes data: ``import im2rec.mx as mx``.

A script that says ``import mxnet`` runs unchanged by ``python -m im2rec.mx script.py``, or with the folder that
``python -m im2rec.mx --path`` prints in ``PYTHONPATH``; ``mxnet`` is this very module then. Its modules are imported
on first use. A name of MXNet that is not here raises AttributeError, and its import ModuleNotFoundError.

``__version__`` is that of the MXNet whose names and results these are, as scripts compare it.

Source: mxnet 1.9.1, python/mxnet/__init__.py.
"""

from __future__ import annotations

import importlib

from im2rec.mx import forwarding
from im2rec.mx.missing import missing

TYPE_CHECKING = False  # as in im2rec/__init__.py
if TYPE_CHECKING:
    from typing import Any

__version__ = "1.9.1"

_HOME = dict.fromkeys(("Context", "cpu", "cpu_pinned", "current_context", "gpu", "num_gpus"), "context")
_HOME["MXNetError"] = "base"

__all__ = sorted([*forwarding.MODULES, *forwarding.ALIASES, *_HOME])  # noqa: PLE0605 - there is no second list

forwarding.install()


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"im2rec.mx.{_HOME[name]}"), name)
    elif name in forwarding.MODULES or name in forwarding.ALIASES:
        value = importlib.import_module(f"im2rec.mx.{forwarding.ALIASES.get(name, name)}")
    else:
        raise missing("mx", name, __all__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__", "__doc__"]
