"""The ``.classes.txt`` that ``make-list`` writes beside its lists: the folder of every label, one a line."""

from __future__ import annotations

import os
from pathlib import Path

from im2rec.errors import InputError
from im2rec.storage.files import PathLike, reading


def read_classes(path: PathLike) -> list[str]:
    """The folders of a ``.classes.txt``, in order of their labels. Raises InputError, also for a doubled line."""
    with reading(path):
        text = Path(path).read_text(encoding="utf-8-sig", errors="surrogateescape")
    classes = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
    seen: set[str] = set()
    for line, name in enumerate(classes, 1):
        if not name or name in seen:
            what = f"{name!r} stands on two lines" if name else "is empty"
            raise InputError(f"{os.fspath(path)}, line {line}: {what}", hint="one folder a line, line 1 is label 0")
        seen.add(name)
    return classes
