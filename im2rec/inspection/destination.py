"""The folder an extraction ends in: what may stand there before, and how the finished one takes its place."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from im2rec.errors import OutputError
from im2rec.storage.files import PathLike

MARKER = ".im2rec-extract.json"  # stands in every extraction: only a folder that holds it is ever replaced


def destination(out: PathLike) -> Path:
    """*out*, or what stands behind it when it is a link or no name of its own (``.``, ``sub/..``)."""
    path = Path(out)
    return Path(os.path.realpath(path)) if path.is_symlink() or path.name in ("", "..") else path


def check_replaceable(path: Path, inputs: Sequence[PathLike], *, force: bool) -> None:
    """Raise OutputError unless *path* can become an extraction: nothing stands there, or an empty folder.

    With *force* an earlier extraction is fine too, if none of *inputs* stands in it.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} is missing", hint="make it first")
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is a file", hint="name a folder")
    real = Path(os.path.realpath(path))
    if Path.cwd().is_relative_to(real) or os.path.ismount(path):
        problem = f"{path}: is a mount point or the folder you are in, which cannot be replaced by a finished one"
        raise OutputError(problem, hint="name a new folder in it")
    if is_empty(path):
        return
    earlier = (path / MARKER).is_file()
    if not force or not earlier:
        problem = f"{path}: exists already and is not empty"
        raise OutputError(problem, hint=f"choose another folder{', or replace it with --force' if earlier else ''}")
    for name in inputs:
        if Path(os.path.realpath(name)).is_relative_to(real):
            raise OutputError(f"{path}: holds {os.fspath(name)} and is not replaced", hint="choose another folder")


def is_empty(folder: Path) -> bool:
    """Whether nothing stands in *folder*."""
    with os.scandir(folder) as entries:
        return next(entries, None) is None


def put_in_place(finished: Path, path: Path, *, force: bool) -> None:
    """Rename the folder *finished* to *path*; with *force* an earlier extraction there makes way and is removed.

    A kill in between leaves the earlier one beside it, its name ending in ``.tmp``. Raises OSError.
    """
    earlier = None
    if path.is_dir():
        if force and (path / MARKER).is_file():
            earlier = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(3).hex()}.tmp")
            path.rename(earlier)
        else:
            path.rmdir()
    try:
        finished.rename(path)
    except BaseException:
        if earlier is not None:
            with contextlib.suppress(OSError):
                earlier.rename(path)
        raise
    if earlier is not None:
        shutil.rmtree(earlier, ignore_errors=True)  # the new one is in place, and that is what counts
