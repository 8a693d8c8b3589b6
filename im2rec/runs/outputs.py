"""Batches as files in folders: one ``.npz`` each with a manifest of the run, or one contact sheet each."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import logging
import os
import platform
import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from im2rec.errors import OutputError, ParameterError, counted
from im2rec.images.sheet import Tile, draw_sheet, fitted, record_lines
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.iterators.ordered import OrderedIterator
from im2rec.params import typed_words
from im2rec.runs.run import RunSummary, arrays_of, digest_of
from im2rec.storage.classes import ClassNames, class_name, class_names_beside
from im2rec.storage.files import read_file
from im2rec.storage.output import sync_and_close
from im2rec.storage.output_folder import OF_DESKTOPS, AsideFolder, destination

_LOG = logging.getLogger(__name__)
MANIFEST = "manifest.json"
SCHEMA = 1
_BATCH, _SHEET = re.compile(r"batch_\d{5,}\.npz"), re.compile(r"sheet_\d{5,}\.png")
_MOST_FILES = 3  # with their names in a title
_HINT = "nothing of this run is kept; the same command begins again"
_LIBRARIES = ("im2rec", "numpy", "pillow", "numba", "simplejpeg", "opencv-python-headless", "opencv-python")


class BatchOutputs:
    """The folders that the batches of a run are written to: arrays to *dump*, contact sheets to *sheet*.

    Both may be one folder. Each is written aside, and replaces nothing, an empty folder, or with *force* an earlier one
    of its kind. The ``with`` block locks the folders and removes what a killed run has left of them; they get their
    names in :meth:`finish`, and without that nothing is left of them::

        with BatchOutputs(Path("dumped"), None, force=False) as outputs, ImageRecordIter(...) as it:
            outputs.start(it)
            summary = run(it, epochs=1, max_batches=None, sink=outputs.add, progress=None)
            outputs.finish(it, summary)

    Raises OutputError, also for a folder that holds anything else; ParameterError for one folder in the other.
    """

    def __init__(self, dump: Path | None, sheet: Path | None, *, force: bool) -> None:
        paths = {kind: destination(path) for kind, path in (("dump", dump), ("sheet", sheet)) if path is not None}
        kinds: dict[Path, list[str]] = {}
        for kind, path in paths.items():
            kinds.setdefault(Path(os.path.realpath(path)), []).append(kind)
        _check_apart(kinds)
        self._folders: dict[str, AsideFolder] = {}
        for names in kinds.values():
            find_refusal = functools.partial(_find_refusal, kinds=names)
            folder = AsideFolder(paths[names[0]], find_refusal, marker=MANIFEST, force=force, parents=True)
            self._folders |= dict.fromkeys(names, folder)
        self._dump = BatchFolder(self._folders["dump"]) if dump is not None else None
        self._sheet: SheetFolder | None = None
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> BatchOutputs:
        with contextlib.ExitStack() as stack:
            for folder in dict.fromkeys(self._folders.values()):
                stack.enter_context(folder)
                _clear(folder)
                stack.callback(folder.remove)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def start(self, it: OrderedIterator[Any]) -> None:
        """Prepare for the batches of *it*."""
        if "sheet" in self._folders and isinstance(it, ImageRecordIter):
            self._sheet = SheetFolder(self._folders["sheet"], it)

    def add(self, epoch: int, batch: Any) -> None:
        """Write *batch* to each folder. Raises OutputError."""
        for folder in (self._dump, self._sheet):
            if folder is not None:
                folder.add(epoch, batch)

    def finish(self, it: OrderedIterator[Any], summary: RunSummary) -> None:
        """Write the manifest, and give the folders their names. Raises OutputError."""
        if self._dump is not None:
            self._dump.finish(it, summary)
        for folder in dict.fromkeys(self._folders.values()):
            with folder.writing(_HINT):
                folder.publish()


def _check_apart(paths: Iterable[Path]) -> None:
    """Raise ParameterError if one of the full *paths* is in another one."""
    for inner, outer in itertools.permutations(paths, 2):
        if inner.is_relative_to(outer):
            raise ParameterError(f"{inner} is a folder in {outer}, and both would be written", hint="choose another")


def _find_refusal(folder: Path, kinds: Sequence[str]) -> str:
    """Return the reason why *folder* is not to be replaced, or ``""`` if all that is in it is of an earlier run.

    *kinds* are ``dump``, ``sheet`` or both. The batches of a dump are those that its manifest lists.
    """
    known = {*OF_DESKTOPS, *(_files_of_dump(folder) if "dump" in kinds else ())}
    for name in sorted(entry.name for entry in folder.iterdir()):
        if name not in known and not ("sheet" in kinds and _SHEET.fullmatch(name)):
            return f"holds {name}, which is not of an earlier {' or '.join(kinds)}, and is not replaced"
    return ""


def _files_of_dump(folder: Path) -> list[str]:
    """Return the names of the manifest in *folder* and of the batches that it lists; none if it is no such manifest."""
    try:
        manifest = json.loads(read_file(folder / MANIFEST))
        names = [str(batch["file"]) for batch in manifest["batches"]]
        is_ours = {"schema", "parameters", "digest"} <= manifest.keys() and all(map(_BATCH.fullmatch, names))
    # RecursionError: of lists in lists; AttributeError: of a list in place of the object.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    return [MANIFEST, *names] if is_ours else []


def _clear(folder: AsideFolder) -> None:
    """Remove what a killed run has left in *folder*, which is locked. Raises OutputError if anything else is in it."""
    with folder.writing(_HINT):
        for entry in folder.path.iterdir():
            if entry.name not in (MANIFEST, *OF_DESKTOPS) and not (
                _BATCH.fullmatch(entry.name) or _SHEET.fullmatch(entry.name)
            ):
                problem = f"holds {entry.name}, which no run of iterate has left"
                raise OutputError(problem, path=folder.path, hint="remove it, or choose another folder")
        folder.clear()


def _write(folder: AsideFolder, name: str, content: bytes) -> None:
    """Write the new file *name* to *folder*, and to the disk. Raises OutputError."""
    with folder.writing(_HINT), (folder.path / name).open("xb") as file:
        file.write(content)
        sync_and_close(file)


class BatchFolder:
    """Writes the arrays of each batch (see :func:`arrays_of`) to ``batch_00000.npz``, ..., and a manifest of them."""

    def __init__(self, folder: AsideFolder) -> None:
        self._folder = folder
        self._batches: list[dict[str, Any]] = []

    def add(self, epoch: int, batch: DataBatch) -> None:
        """Write the next batch. Raises OutputError."""
        name = f"batch_{len(self._batches):05}.npz"
        buffer = io.BytesIO()
        arrays: dict[str, Any] = arrays_of(batch)
        np.savez(buffer, **arrays)
        _write(self._folder, name, buffer.getvalue())
        self._batches.append({"file": name, "epoch": epoch, "pad": batch.pad, "sha256": digest_of(batch).hex()})

    def finish(self, it: OrderedIterator[Any], summary: RunSummary) -> None:
        """Write the manifest, when all batches are written."""
        manifest = {
            "schema": SCHEMA,
            "parameters": dataclasses.asdict(it.params),
            "engine": summary.engine,
            "kernel": summary.kernel,
            "versions": versions(),
            "digest": summary.digest,
            "batches": self._batches,
        }
        _write(self._folder, MANIFEST, json.dumps(manifest, indent=1).encode())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that pixels may depend on."""
    installed = {distribution.name.lower(): distribution.version for distribution in metadata.distributions()}
    libraries = {library: installed[library] for library in _LIBRARIES if library in installed}
    return {"python": platform.python_version(), **libraries}


class SheetFolder:
    """Writes a contact sheet of each batch to ``sheet_00000.png``, ...; filler rows are marked as such."""

    def __init__(self, folder: AsideFolder, it: ImageRecordIter) -> None:
        self._folder = folder
        self._it = it
        self._count = 0
        self._names = class_names_of(it)

    def add(self, epoch: int, batch: DataBatch) -> None:
        """Write the sheet of the next batch. Raises OutputError."""
        params = self._it.params
        title = [
            f"{file_names(params.path_imgrec)}: batch {self._count}, epoch {epoch}, seed {params.seed}",
            " ".join(typed_words(params, without=("path_imgrec", "seed"))),
        ]
        content = draw_sheet([self._tile(batch, row) for row in range(len(batch.data[0]))], title)
        _write(self._folder, f"sheet_{self._count:05}.png", content)
        self._count += 1

    def _tile(self, batch: DataBatch, row: int) -> Tile:
        assert batch.label is not None
        assert batch.index is not None
        labels = batch.label[0][row].reshape(-1).tolist()
        name = class_name(self._names, labels)
        is_filler = row >= len(batch.data[0]) - (batch.pad or 0)
        lines = record_lines(f"{batch.index[row]}" + (" (filler)" if is_filler else ""), labels, name)
        return Tile(fitted(loader_of(self._it).augmenter.row_to_image(batch.data[0][row])), "", lines)


def file_names(path_imgrec: str) -> str:
    """Return the names, without folders, of the files that are joined in *path_imgrec*; of many the first three."""
    names = [Path(path).name for path in path_imgrec.split(";") if path]
    more = len(names) - _MOST_FILES
    return "; ".join(names[:_MOST_FILES]) + (f" and {counted(more, 'more file')}" if more > 0 else "")


def class_names_of(it: ImageRecordIter) -> ClassNames | None:
    """Return the class names beside the list that the labels are from, else beside the files, if all have the same."""
    files = [file.path for file in loader_of(it).records.files]
    found = [class_names_beside(path) for path in ([it.params.path_imglist] if it.params.path_imglist else files)]
    for problem in dict.fromkeys(problem for _, problem in found if problem):
        _LOG.warning("%s; labels have no names", problem)
    first = found[0][0]
    return first if all(first and names and names.names == first.names for names, _ in found) else None
