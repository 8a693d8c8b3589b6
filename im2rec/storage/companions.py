"""The files beside a ``.rec``: names of its index, and tables that lead from its labels and keys to older ones.

Nothing here needs NumPy, as every command that writes a file imports it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from im2rec.storage.files import PathLike, exists

DALI = "dali"  # reads every record that its index lists as an image
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


def index_to_write(path: PathLike) -> Path:
    """Return the path of the index that is written with *path*: ``out.idx`` for ``out.rec`` and for ``out.bin``.

    For a part of a dataset (``out.rec.part000``), an ``.idx`` and a name without suffix, ``.idx`` is appended.
    """
    path = Path(path)
    if not path.suffix or _PART.fullmatch(path.suffix) or path.suffix == ".idx":
        return path.with_name(path.name + ".idx")
    return path.with_suffix(".idx")


def reader_index_path(path: PathLike, reader: str) -> Path:
    """Return the path of an index of *path* for one *reader* alone: ``out.dali.idx`` for ``out.rec`` and ``dali``.

    It is never one that :func:`find_index` finds, as other programs need the index of all records.
    """
    path = Path(path)
    found = path.with_suffix(f".{reader}.idx")
    is_other = found not in (index_to_write(path), path.with_name(f"{path.name}.idx"))
    return found if is_other else path.with_name(f"{path.name}.{reader}.idx")


def reader_indexes(path: PathLike) -> list[Path]:
    """Return the paths of those indexes for one reader that are beside *path*, without one that is of another file."""
    found = reader_index_path(path, DALI)
    return [found] if exists(found) and not exists(found.with_suffix(".rec")) else []


def find_index(path: PathLike) -> Path | None:
    """Return the index in the folder of *path*, or None if there is none.

    For ``X.rec`` it is ``X.idx``, else ``X.rec.idx``; for any other name the reverse: ``<path>.idx``, else the name of
    :func:`index_to_write`.
    """
    path = Path(path)
    candidates = [path.with_name(path.name + ".idx"), index_to_write(path)]
    if path.suffix == ".rec":
        candidates.reverse()
    return next((candidate for candidate in candidates if candidate.is_file()), None)
