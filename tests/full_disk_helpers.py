"""Outputs on a disk that is full."""

from __future__ import annotations

from typing import Any

import pytest

from im2rec.storage.output import AtomicFile


class FullDisk:
    """A file on a full disk: the method *fails* raises ENOSPC, behind *before* calls that succeed."""

    def __init__(self, file: Any, fails: str, before: int) -> None:
        self._file = file
        self._fails = fails
        self._before = before

    def __getattr__(self, name: str) -> Any:
        if name == self._fails:
            self._before -= 1
            if self._before < 0:
                return self._full
        return getattr(self._file, name)

    def _full(self, *_: object) -> None:
        raise OSError(28, "No space left on device")


def fill_disk(monkeypatch: pytest.MonkeyPatch, name: str, fails: str, *, before: int = 0) -> None:
    """Have the method *fails* of each output with this *name* fail, as on a full disk, behind *before* calls of it."""
    real = AtomicFile.__init__

    def init(self: AtomicFile, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        if self.path.name == name:
            self._file = FullDisk(self._file, fails, before)  # type: ignore[assignment]

    monkeypatch.setattr(AtomicFile, "__init__", init)
