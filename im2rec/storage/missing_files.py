"""Say in words why a list names an image file that is not there, as far as other names that exist can tell."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from im2rec.storage.files import PathLike, file_name

NO_SUCH_FILE = "no such file"
BACKSLASHES = "its backslashes separate no folders here; write /"
QUOTES = "its quotes belong to the name; leave them out"
NOT_UTF8 = "its letters are not UTF-8; save the list as UTF-8"
OTHER_FORM = "its file has the accents of the name in another form; make the list anew"  # NFC or NFD, as macOS
ABOVE_ROOT = "its path starts in the folder above ROOT; name that as ROOT"


def is_file_below(root: str, path: str) -> bool:
    """True if the *path* of a list, below the folder *root*, is that of a file; False for any other name."""
    return os.path.isfile(os.path.join(root, file_name(path)))  # noqa: PTH113, PTH118 - False for any name, at a third of the time


def describe_missing(path: str, root: PathLike | None = None) -> str:
    """Return in words that the image file *path* of a list is missing below *root*, and why if that can be seen."""
    why = why_missing(path, root)
    return f"{NO_SUCH_FILE}: {why}" if why else NO_SUCH_FILE


def why_missing(path: str, root: PathLike | None = None) -> str:
    """Return why no file of the name *path* of a list is found below *root*, with what to do; empty if unknown."""
    if "\\" in path and os.sep == "/":
        return BACKSLASHES
    if len(path) > 1 and path[0] == path[-1] and path[0] in "'\"":
        return QUOTES
    if any("\udc80" <= letter <= "\udcff" for letter in path):  # bytes, as "surrogateescape" reads them
        return NOT_UTF8
    return "" if root is None else _why_not_below(os.fspath(root), path)


def _why_not_below(root: str, path: str) -> str:
    """Return why *path* is missing below *root*, as far as other names that exist can tell; these are few looks."""
    if is_file_below(str(Path(root, os.pardir)), path):
        return ABOVE_ROOT
    stem, dot, suffix = path.rpartition(".")
    for other in (f"{stem}{dot}{suffix.swapcase()}", path.lower()):
        if is_file_below(root, other):
            return f"its file is {other}; upper and lower case differ here"
    if any(is_file_below(root, unicodedata.normalize(form, path)) for form in ("NFC", "NFD")):
        return OTHER_FORM
    return ""
