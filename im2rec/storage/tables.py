"""Tables beside a ``.rec``, which lead from its labels and keys to those of the sets that it was made of."""

from __future__ import annotations

import os
import re
from pathlib import Path

LABELS_MAP, KEYS_MAP, SAME_MAP = ".labels.tsv", ".keys.tsv", ".same.tsv"
_PART = re.compile(r"\.part\d{3,}$")  # of a pack with nsplit
_FIRST_COLUMN = {LABELS_MAP: b"label\t", KEYS_MAP: b"key\t", SAME_MAP: b"key\t"}


def stem_of(path: Path) -> str:
    """Return the name of the list or ``.rec`` at *path* without its ending, and without the number of a part."""
    return os.path.splitext(_PART.sub("", path.name))[0]  # noqa: PTH122 - Path("").stem and of "a." differ by version


def beside(rec: Path, suffix: str) -> Path:
    """Return the path of a file beside *rec*: ``train.keys.tsv`` for ``train.rec`` and the suffix ``.keys.tsv``."""
    return rec.with_name(stem_of(rec) + suffix)


def tables_beside(rec: Path) -> list[Path]:
    """Return the paths of the tables beside *rec*, by their first columns: other files of such names are not ours."""
    return [path for suffix, column in _FIRST_COLUMN.items() if _starts_with(path := beside(rec, suffix), column)]


def _starts_with(path: Path, start: bytes) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(start)) == start
    except OSError:
        return False
