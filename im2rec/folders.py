"""Where im2rec keeps files of its own between runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from im2rec.errors import OutputError

VARIABLE = "IM2REC_CACHE"


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """``$IM2REC_CACHE``, else ``im2rec`` in the user's own folder for files that can be made or fetched again.

    That is ``$XDG_CACHE_HOME``, else ``%LOCALAPPDATA%`` on Windows and ``~/.cache`` elsewhere. It need not exist.
    Raises OutputError when there is no home to put it in.

    Source: XDG Base Directory Specification, which also says that a relative path is to be ignored.
    """
    environ = os.environ if environ is None else environ
    if chosen := environ.get(VARIABLE):
        return Path(chosen)
    if (given := environ.get("XDG_CACHE_HOME")) and Path(given).is_absolute():
        return Path(given) / "im2rec"
    if os.name == "nt" and (local := environ.get("LOCALAPPDATA")):
        return Path(local) / "im2rec"
    try:
        return Path.home() / ".cache" / "im2rec"
    except RuntimeError:
        raise OutputError("no folder to keep files in: there is no home", hint=f"set {VARIABLE} to one") from None
