"""The synchronisation of a whole file system, for folders of very many files."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from im2rec.storage.disk import sync_file_system

linux = pytest.mark.skipif(sys.platform != "linux", reason="syncfs() is of Linux")


def without_sync(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(os, "sync", lambda: calls.append("all"), raising=False)
    return calls


@linux
def test_one_file_system_is_synchronised_where_the_system_can_do_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = without_sync(monkeypatch)
    sync_file_system(tmp_path)
    assert [] == calls


@linux
@pytest.mark.parametrize("library", [SimpleNamespace(), OSError()], ids=["without it", "not found"])
def test_all_are_synchronised_where_the_c_library_lacks_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    def load(*_: object, **__: object) -> Any:
        if isinstance(library, OSError):
            raise library
        return library

    calls = without_sync(monkeypatch)
    monkeypatch.setattr(ctypes, "CDLL", load)
    sync_file_system(tmp_path)
    assert ["all"] == calls


@linux
def test_data_that_the_disk_does_not_take_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(syncfs=fail))
    with pytest.raises(OSError, match="Input/output error") as caught:
        sync_file_system(tmp_path)
    assert (errno.EIO, str(tmp_path)) == (caught.value.errno, caught.value.filename)


def test_other_systems_synchronise_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = without_sync(monkeypatch)
    monkeypatch.setattr(sys, "platform", "darwin")
    sync_file_system(tmp_path)
    monkeypatch.delattr(os, "sync")
    sync_file_system(tmp_path)
    assert ["all"] == calls
