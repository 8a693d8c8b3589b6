"""Batches to look at: a contact sheet of each, the pictures as the network gets them."""

from __future__ import annotations

from pathlib import Path

from im2rec.images.sheet import Tile, draw_sheet, fitted, label_text
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.storage.files import AsideFile, writing


class SheetFolder:
    """Writes ``sheet_00000.png``, ...: one for each batch, filler rows marked as such."""

    def __init__(self, folder: Path, it: ImageRecordIter, *, force: bool) -> None:
        self._folder = folder
        self._it = it
        self._force = force
        self._count = 0
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in folder.glob("sheet_*.png") if force else ():
                earlier.unlink(missing_ok=True)

    def add(self, epoch: int, batch: DataBatch) -> None:
        """Write the sheet of the next batch. Raises OutputError, when it exists and *force* is not given."""
        out = self._folder / f"sheet_{self._count:05}.png"
        title = f"batch {self._count} of {self._it.params.path_imgrec}, epoch {epoch}"
        with AsideFile(out, force=self._force) as file:
            file.write(draw_sheet([self._tile(batch, row) for row in range(len(batch.data[0]))], title))
        self._count += 1

    def _tile(self, batch: DataBatch, row: int) -> Tile:
        assert batch.label is not None
        assert batch.index is not None
        labels = batch.label[0][row].reshape(-1).tolist()
        filler = row >= len(batch.data[0]) - (batch.pad or 0)
        lines = (f"id {batch.index[row]}" + (" (filler)" if filler else ""), f"label {label_text(labels)}")
        return Tile(fitted(self._it.augmenter.shown(batch.data[0][row])), "", lines)
