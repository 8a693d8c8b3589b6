"""Hold an index against the records of its file, every offset of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from im2rec.errors import IndexFormatError, InputError
from im2rec.format.indexfile import Keys, Offsets
from im2rec.inspection.report import IndexCheck
from im2rec.storage.files import PathLike, find_index
from im2rec.storage.index import load_index


def check_index(path: PathLike, starts: Offsets, ids: Keys, index: PathLike | None) -> IndexCheck:
    """How *index*, else the one beside *path*, stands to the records that start at *starts* and hold *ids*.

    Raises InputError when a named index cannot be read.
    """
    index = Path(index) if index is not None else find_index(path)
    if index is None:
        return IndexCheck(None, "none")
    try:
        keys, offsets = load_index(index)
    except (IndexFormatError, InputError) as error:  # one that was named has been opened before the survey
        return IndexCheck(os.fspath(index), "wrong", str(error))
    if np.array_equal(offsets, starts):  # as nearly always; what follows takes another 60 bytes a record
        return IndexCheck(os.fspath(index), "agrees", keys=_what_keys_are(keys, ids))
    wrong = offsets[~np.isin(offsets, starts)]
    missing = starts[~np.isin(starts, offsets)]
    problem = None
    if len(wrong):
        problem = f"{len(wrong)} of its {len(offsets)} offsets are no record starts, byte {wrong[0]} for one"
    elif len(missing):
        problem = f"{len(missing)} records are not in it, the one at byte {missing[0]} for one"
    elif len(offsets) != len(starts):
        problem = f"{len(offsets) - len(starts)} records stand in it twice"
    if problem:
        return IndexCheck(os.fspath(index), "wrong", problem)
    return IndexCheck(os.fspath(index), "agrees", keys=_what_keys_are(keys[np.argsort(offsets)], ids))


def _what_keys_are(keys: Keys, ids: Keys) -> str:
    if np.array_equal(keys, ids):
        return "ids"
    if np.array_equal(keys, np.arange(len(keys))):
        return "ordinals"
    return f"neither ids nor ordinals ({int(np.sum(keys != ids))} differ from the ids)"
