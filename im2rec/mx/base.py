"""MXNet's name for an error of its library, which is that of every error of im2rec here.

Source: mxnet python/mxnet/base.py.
"""

from __future__ import annotations

from im2rec.errors import Im2RecError as MXNetError

__all__ = ["MXNetError"]
