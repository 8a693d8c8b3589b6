"""Files that list records by their keys: a ``.lst``, or a key on each line, as those who clean sets publish."""

from __future__ import annotations

from array import array

import numpy as np

from im2rec.errors import InputError, ListFormatError
from im2rec.format.indexfile import MAX_KEY, Keys
from im2rec.storage.files import PathLike, with_path
from im2rec.storage.list_lines import list_lines, opened_list

_SHOWN = 40  # characters of a line in a message
_MAX_DIGITS = len(str(MAX_KEY))


def read_keys(path: PathLike) -> Keys:
    """Return the keys (uint64, ascending, each once) in the file *path*: the first word of each line.

    Blank lines and lines that start with ``#`` are skipped. Raises InputError for a file that cannot be read or lists
    nothing, ListFormatError for a line that does not begin with a key.
    """
    keys = array("Q")
    with opened_list(path) as stream:
        for number, line in enumerate(list_lines(path, stream), 1):
            words = line.split(None, 1)
            if not words or words[0].startswith(b"#"):
                continue
            word = words[0]
            if not word.isdigit() or len(word) > _MAX_DIGITS or int(word) > MAX_KEY:
                shown = line.strip()[:_SHOWN].decode("utf-8", "replace")
                problem = f"expected a key, a whole number, found {shown!r}"
                hint = "write a key of the index on each line; with names, take the keys from the list of the .rec"
                raise with_path(ListFormatError(problem, line=number, hint=hint), path)
            keys.append(int(word))
    if not keys:
        raise InputError("lists no keys", path=path, hint="write a key of the index on each line")
    return np.unique(np.frombuffer(keys, np.uint64))
