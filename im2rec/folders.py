"""The cache folder, where im2rec keeps files between runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from im2rec.errors import OutputError

VARIABLE = "IM2REC_CACHE"


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for files that can be made or downloaded again; it need not exist.

    The first of these that is set: ``$IM2REC_CACHE``, ``$XDG_CACHE_HOME/im2rec`` (absolute paths only), on Windows
    ``%LOCALAPPDATA%\\im2rec``, else ``~/.cache/im2rec``. *environ* replaces ``os.environ``. Raises OutputError when
    the user has no home folder.

    Source: XDG Base Directory Specification, which also demands that a relative path is ignored.
    """
    environ = os.environ if environ is None else environ
    if folder := environ.get(VARIABLE):
        return Path(folder)
    if (xdg := environ.get("XDG_CACHE_HOME")) and Path(xdg).is_absolute():
        return Path(xdg) / "im2rec"
    if os.name == "nt" and (local := environ.get("LOCALAPPDATA")):
        return Path(local) / "im2rec"
    try:
        return Path.home() / ".cache" / "im2rec"
    except RuntimeError:
        raise OutputError("no cache folder: the user has no home folder", hint=f"set {VARIABLE} to a folder") from None
