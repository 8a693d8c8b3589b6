"""Batches as files: one ``.npz`` each with a manifest of the run, or one contact sheet each."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from im2rec.errors import OutputError
from im2rec.images.sheet import Tile, draw_sheet, fitted, labels_text
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.iterators.ordered import OrderedIterator
from im2rec.runs.run import RunSummary, arrays_of, digest_of
from im2rec.storage.classes import ClassNames, class_name, class_names_beside
from im2rec.storage.output import AtomicFile, check_output_folder, writing

_LOG = logging.getLogger(__name__)
MANIFEST = "manifest.json"
SCHEMA = 1
_LIBRARIES = ("im2rec", "numpy", "pillow", "numba", "simplejpeg", "opencv-python-headless", "opencv-python")


def check_folder_free(folder: Path, *, force: bool) -> None:
    """Raise OutputError if *folder* cannot be written to, or is not empty and *force* is not given."""
    check_output_folder(folder)
    with writing(folder):
        if not force and folder.is_dir() and any(folder.iterdir()):
            raise OutputError("is not empty", path=folder, hint="name a new folder, or give force=True")


class BatchFolder:
    """Writes the arrays of each batch (see :func:`arrays_of`) to ``batch_00000.npz``, ..., and a manifest at the end.

    Check *folder* with :func:`check_folder_free` first. Files of an earlier dump in it are deleted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._batches: list[dict[str, Any]] = []
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in (folder / MANIFEST, *folder.glob("batch_*.npz")):
                earlier.unlink(missing_ok=True)

    def add(self, epoch: int, batch: DataBatch) -> None:
        """Write the next batch. Raises OutputError."""
        name = f"batch_{len(self._batches):05}.npz"
        buffer = io.BytesIO()
        arrays: dict[str, Any] = arrays_of(batch)
        np.savez(buffer, **arrays)
        with AtomicFile(self._folder / name, force=True) as file:
            file.write(buffer.getvalue())
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
        with AtomicFile(self._folder / MANIFEST, force=True) as file:
            file.write(json.dumps(manifest, indent=1).encode())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that pixels may depend on."""
    installed = {distribution.name.lower(): distribution.version for distribution in metadata.distributions()}
    libraries = {library: installed[library] for library in _LIBRARIES if library in installed}
    return {"python": platform.python_version(), **libraries}


class SheetFolder:
    """Writes a contact sheet of each batch to ``sheet_00000.png``, ...; filler rows are marked as such."""

    def __init__(self, folder: Path, it: ImageRecordIter, *, force: bool) -> None:
        self._folder = folder
        self._it = it
        self._force = force
        self._count = 0
        self._names = _class_names(it)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in folder.glob("sheet_*.png") if force else ():
                earlier.unlink(missing_ok=True)

    def add(self, epoch: int, batch: DataBatch) -> None:
        """Write the sheet of the next batch. Raises OutputError if it exists and *force* is not given."""
        out = self._folder / f"sheet_{self._count:05}.png"
        title = f"batch {self._count} of {self._it.params.path_imgrec}, epoch {epoch}"
        with AtomicFile(out, force=self._force) as file:
            file.write(draw_sheet([self._tile(batch, row) for row in range(len(batch.data[0]))], title))
        self._count += 1

    def _tile(self, batch: DataBatch, row: int) -> Tile:
        assert batch.label is not None
        assert batch.index is not None
        labels = batch.label[0][row].reshape(-1).tolist()
        name = class_name(self._names, labels)
        is_filler = row >= len(batch.data[0]) - (batch.pad or 0)
        lines = (f"id {batch.index[row]}" + (" (filler)" if is_filler else ""), f"label {labels_text(labels, name)}")
        return Tile(fitted(loader_of(self._it).augmenter.row_to_image(batch.data[0][row])), "", lines)


def _class_names(it: ImageRecordIter) -> ClassNames | None:
    """Return the class names beside the list that the labels are from, else beside the files, if all have the same."""
    files = [file.path for file in loader_of(it).records.files]
    found = [class_names_beside(path) for path in ([it.params.path_imglist] if it.params.path_imglist else files)]
    for problem in dict.fromkeys(problem for _, problem in found if problem):
        _LOG.warning("%s; labels have no names", problem)
    first = found[0][0]
    return first if all(first and names and names.names == first.names for names, _ in found) else None
