"""The cache folder: which environment variable sets it, and its default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers import message_of

from im2rec.folders import cache_folder


def test_im2rec_cache_comes_before_xdg_and_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    mine, xdg, local = (str(tmp_path / name) for name in ("mine", "xdg", "local"))

    assert Path(mine) == cache_folder({"IM2REC_CACHE": mine, "XDG_CACHE_HOME": xdg})
    assert Path(xdg, "im2rec") == cache_folder({"IM2REC_CACHE": "", "XDG_CACHE_HOME": xdg, "LOCALAPPDATA": local})
    expected = Path(local, "im2rec") if os.name == "nt" else tmp_path / "home" / ".cache" / "im2rec"
    assert expected == cache_folder({"XDG_CACHE_HOME": "relative", "LOCALAPPDATA": local})


def test_a_user_without_a_home_folder_must_set_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    expected = "no cache folder: the user has no home folder (set IM2REC_CACHE to a folder)"
    assert expected == message_of(cache_folder, {})
    monkeypatch.setattr(Path, "home", lambda: Path("~"))  # HOME=~ in a file that no shell reads
    assert expected == message_of(cache_folder, {})


@pytest.mark.parametrize("off", ["off", "OFF", "0"])
def test_off_and_0_name_no_folder(off: str) -> None:
    expected = f"no cache folder: IM2REC_CACHE is {off} (set IM2REC_CACHE to a folder)"
    assert expected == message_of(cache_folder, {"IM2REC_CACHE": off})
