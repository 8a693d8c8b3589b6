"""Datasets, by the names of ``mxnet.gluon.data``; torch's DataLoader takes them."""

from __future__ import annotations

from typing import NoReturn

from im2rec.mx.gluon.data import vision as vision
from im2rec.mx.gluon.data.dataset import ArrayDataset as ArrayDataset
from im2rec.mx.gluon.data.dataset import Dataset as Dataset
from im2rec.mx.gluon.data.dataset import RecordFileDataset as RecordFileDataset
from im2rec.mx.gluon.data.dataset import SimpleDataset as SimpleDataset
from im2rec.mx.missing import missing

__all__ = ["ArrayDataset", "Dataset", "RecordFileDataset", "SimpleDataset", "vision"]


def __getattr__(name: str) -> NoReturn:
    reason = ""
    if name == "DataLoader" or name.endswith("Sampler"):
        reason = f"torch.utils.data.{name} takes these datasets"
    raise missing("mx.gluon.data", name, __all__, reason)
