"""Outputs on a disk that is full."""

from __future__ import annotations

from typing import Any

import pytest

from im2rec.storage.output import AtomicFile


class FullDisk:
    """A file on a full disk: the method *fails* raises ENOSPC."""

    def __init__(self, file: Any, fails: str) -> None:
        self._file = file
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        return self._full if name == self._fails else getattr(self._file, name)

    def _full(self, *_: object) -> None:
        raise OSError(28, "No space left on device")


def fill_disk(monkeypatch: pytest.MonkeyPatch, name: str, fails: str) -> None:
    """Have the method *fails* of each output with this *name* fail, as on a full disk."""
    real = AtomicFile.__init__

    def init(self: AtomicFile, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        if self.path.name == name:
            self._file = FullDisk(self._file, fails)  # type: ignore[assignment]

    monkeypatch.setattr(AtomicFile, "__init__", init)
