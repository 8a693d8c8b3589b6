"""Open the ``.rec`` that somebody named; where there is no such file, say which one was probably meant."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from im2rec.errors import InputError
from im2rec.storage.files import InputFile, PathLike

_ONE = "the iterators take several, joined by ';' or as a pattern"


def open_rec(path: PathLike) -> InputFile:
    """Open the file *path*. Raises InputError, with what was probably meant if that can be seen."""
    try:
        return InputFile(path)
    except InputError as error:
        error.hint = _probable(os.fspath(path)) or error.hint
        raise


def _probable(name: str) -> str:
    """Return what to do about *name*, which cannot be opened: it is a folder, lacks its suffix, or names several."""
    try:
        if os.path.isdir(name):  # noqa: PTH112 - False for a name that is too long, as below
            files = sorted(map(str, Path(name).glob("*.rec")))
            return f"name a file in it, such as {files[0]}" if files else ""
        if os.path.lexists(name):
            return ""
        if os.path.isfile(f"{name}.rec"):  # noqa: PTH113
            return f"did you mean {name}.rec?"
        words = [word for word in re.split("[;,]", name) if word and word != name]
        files = [word for word in words if os.path.isfile(word)] or sorted(glob.glob(name))  # noqa: PTH113, PTH207
    except (OSError, ValueError):  # of a folder that may not be read, and of a name that no file can have
        return ""
    return f"name one .rec, such as {files[0]}; {_ONE}" if files else ""
