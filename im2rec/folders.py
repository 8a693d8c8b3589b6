"""The cache folder, where im2rec keeps files between runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from im2rec.errors import OutputError

VARIABLE = "IM2REC_CACHE"
OFF = ("off", "0")


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for files that can be made or downloaded again; it need not exist.

    The first of these that is set: ``$IM2REC_CACHE``, ``$XDG_CACHE_HOME/im2rec`` (absolute paths only), on Windows
    ``%LOCALAPPDATA%\\im2rec``, else ``~/.cache/im2rec``. *environ* replaces ``os.environ``. Raises OutputError when
    the user has no home folder, and for ``IM2REC_CACHE=off`` or ``=0``, by which nothing is kept.

    Source: XDG Base Directory Specification, which also demands that a relative path is ignored.
    """
    environ = os.environ if environ is None else environ
    if folder := environ.get(VARIABLE):
        if folder.lower() in OFF:
            raise OutputError(f"no cache folder: {VARIABLE} is {folder}", hint=f"set {VARIABLE} to a folder")
        return Path(folder)
    if (xdg := environ.get("XDG_CACHE_HOME")) and Path(xdg).is_absolute():
        return Path(xdg) / "im2rec"
    if os.name == "nt" and (local := environ.get("LOCALAPPDATA")):
        return Path(local) / "im2rec"
    home = _home()
    # One that is not absolute, as "~", does not exist: a folder of that name would be made wherever we are.
    if home is None or not home.is_absolute():
        raise OutputError("no cache folder: the user has no home folder", hint=f"set {VARIABLE} to a folder")
    return home / ".cache" / "im2rec"


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def usable_cache_folder() -> Path | None:
    """Return the cache folder for what programs keep unasked; None if there is none, as with ``IM2REC_CACHE=off``."""
    try:
        return cache_folder()
    except OutputError:
        return None
