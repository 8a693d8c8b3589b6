"""MXNet's name for an error of its library, which is that of every error of im2rec here.

Source: mxnet python/mxnet/base.py.
"""

from __future__ import annotations

from typing import NoReturn

from im2rec.errors import Im2RecError as MXNetError
from im2rec.mx.missing import missing

__path__: list[str] = []  # so that `from mxnet.base import x` asks the finders, which say what is there
__all__ = ["MXNetError"]


def __getattr__(name: str) -> NoReturn:
    raise missing("mx.base", name, __all__)
