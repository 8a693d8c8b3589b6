"""The part of ``mxnet.gluon`` that reads data: its package ``data``."""

from __future__ import annotations

from typing import NoReturn

from im2rec.mx.gluon import data as data
from im2rec.mx.missing import missing

__all__ = ["data"]


def __getattr__(name: str) -> NoReturn:
    raise missing("mx.gluon", name, __all__)
