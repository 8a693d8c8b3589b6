"""Batches as files: one ``.npz`` each, and a manifest that says what they come from."""

from __future__ import annotations

import dataclasses
import io
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from im2rec.errors import OutputError
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.runs.run import RunSummary, digest_of
from im2rec.storage.paths import AsideFile, writing

MANIFEST = "manifest.json"
SCHEMA = 1
_LIBRARIES = ("im2rec", "numpy", "pillow", "simplejpeg", "opencv-python-headless", "opencv-python")


def check_folder_free(folder: Path, *, force: bool) -> None:
    """Raise OutputError for a *folder* that is none, or that holds something and *force* is not given."""
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is not a folder", hint="name a new one")
        if not force and folder.is_dir() and any(folder.iterdir()):
            raise OutputError(f"{folder}: is not empty", hint="name a new folder, or give --force")


class BatchFolder:
    """Writes ``batch_00000.npz`` (data, label, index, pad), ...; the manifest, when all are there."""

    def __init__(self, folder: Path, *, force: bool) -> None:
        check_folder_free(folder, force=force)
        self._folder = folder
        self._batches: list[dict[str, Any]] = []
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in (folder / MANIFEST, *folder.glob("batch_*.npz")):
                earlier.unlink(missing_ok=True)

    def add(self, epoch: int, batch: DataBatch) -> None:
        """Write the next batch. Raises OutputError."""
        name = f"batch_{len(self._batches):05}.npz"
        assert batch.label is not None
        assert batch.index is not None
        buffer = io.BytesIO()
        np.savez(buffer, data=batch.data[0], label=batch.label[0], index=batch.index, pad=np.int64(batch.pad or 0))
        with AsideFile(self._folder / name, force=True) as file:
            file.write(buffer.getvalue())
        self._batches.append({"file": name, "epoch": epoch, "pad": batch.pad, "sha256": digest_of(batch).hex()})

    def finish(self, it: ImageRecordIter, summary: RunSummary) -> None:
        """Write the manifest."""
        manifest = {
            "schema": SCHEMA,
            "parameters": dataclasses.asdict(it.params),
            "engine": it.engine,
            "versions": versions(),
            "digest": summary.digest,
            "batches": self._batches,
        }
        with AsideFile(self._folder / MANIFEST, force=True) as file:
            file.write(json.dumps(manifest, indent=1).encode())


def versions() -> dict[str, str]:
    """What the pixels may depend on: the versions of Python and of the libraries that are installed."""
    installed = {found.name.lower(): found.version for found in metadata.distributions()}
    found = {library: installed[library] for library in _LIBRARIES if library in installed}
    return {"python": platform.python_version(), **found}
