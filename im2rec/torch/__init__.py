"""PyTorch datasets over ``.rec`` files; torch is imported here alone, and must be installed: ``im2rec[torch]``.

This module re-exports the public names. Each is imported from its module on first use.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from im2rec.torch.dataset import RecordDataset as RecordDataset
    from im2rec.torch.iter_dataset import RecordIterDataset as RecordIterDataset
    from im2rec.torch.pair_dataset import PairDataset as PairDataset

_MODULES = {
    "PairDataset": "im2rec.torch.pair_dataset",
    "RecordDataset": "im2rec.torch.dataset",
    "RecordIterDataset": "im2rec.torch.iter_dataset",
}

__all__ = ["PairDataset", "RecordDataset", "RecordIterDataset"]

_found = importlib.util.find_spec("torch")
if _found is None or _found.origin is None:  # without an origin it is an empty folder of that name
    raise ImportError("im2rec.torch needs PyTorch: pip install 'im2rec[torch]'", name="torch")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'im2rec.torch' has no attribute {name!r}; it has {' and '.join(__all__)}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
