"""The sheet of draws: some images of a file, each as it is stored and as it is made in the first epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from im2rec.augment.params import AugmentationParams
from im2rec.errors import DAMAGED_RECORD, BadRecordError, ParameterError, counted
from im2rec.images.choices import RANDOM
from im2rec.images.codec import Image
from im2rec.images.sheet import Row, Tile, draw_rows, fitted, labelled
from im2rec.inspection.image_sample import evenly_spaced
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.params import changed
from im2rec.pipeline.order import Partition
from im2rec.pipeline.params import ImageRecordParams
from im2rec.progress import Progress
from im2rec.runs.changes import MIRROR, SHORT_LETTERS, Change, set_words
from im2rec.runs.made_record import check_replay, make, read_stored
from im2rec.runs.outputs import class_names_of, file_names
from im2rec.runs.replay import check_png, write_png
from im2rec.schema import DRY_RUN, INPUT, RECORDS, WARNINGS, Number, described, whole
from im2rec.storage.classes import ClassNames, class_name
from im2rec.storage.damaged_range import DAMAGED_BYTES, DAMAGED_RANGES, DAMAGED_RECORDS, DOUBTFUL, LOST

OPTION, DRAWS_NAME = "--sheet-draws", "draws.png"
MOST_IMAGES = 8  # rows of the sheet
MOST_DRAWS = 31  # with the stored image 4,360 pixels wide
_MOST_LINES = 5  # of words below a draw
_RANDOM = (
    *("rand_crop", "random_resized_crop", "max_crop_size", "rand_mirror"),
    *("max_rotate_angle", "rotate_list", "max_shear_ratio", "max_aspect_ratio", "min_aspect_ratio"),
    *("max_random_scale", "min_random_scale", "brightness", "contrast", "saturation", "pca_noise"),
    *("random_h", "random_s", "random_l", "max_random_contrast", "max_random_illumination"),
)
_OF_ORDER = ("shuffle", "shuffle_scope", "shuffle_chunk_size", "shuffle_chunk_seed", "seed", "seed_aug")
_SHOWN = {field.name for field in dataclasses.fields(AugmentationParams)} - {*_OF_ORDER} | {"data_shape", "dtype"}


@dataclasses.dataclass
class DrawnImage:
    """A record of the sheet: its place, its labels, and what was drawn for it in each epoch."""

    record: int = described("Ordinal of the record in its file, from 0.")
    ordinal: int = described("Ordinal of the record over all joined files, from 0.")
    id: int | None = described("Id in the image header; null if the header cannot be read.", None)
    labels: list[Number] = described("Labels of the record.", factory=list)
    class_name: str | None = described("Name of the class; null if no class names are beside the file.", None)
    height: int | None = described("Height of the stored image in pixels; null if it cannot be decoded.", None)
    width: int | None = described("Width of the stored image in pixels; null if it cannot be decoded.", None)
    draws: list[list[str]] = described("Random steps that changed the image, in words, for each epoch.", factory=list)
    problems: list[str] = described("Reasons why an image is missing or not whole, a sentence each.", factory=list)


@dataclasses.dataclass
class DrawsSheet:
    """Result of drawing a sheet of draws."""

    input: str = described(INPUT)
    records: int = described(RECORDS)
    data_shape: list[int] = described("Shape of an image or a row.")
    seed: int = described("Seed of the random numbers.")
    epochs: int = described("Epochs that are shown, from epoch 0 on; a draw each.")
    parameters: list[str] = described("Parameters of the augmentation that were set, as KEY=VALUE.")
    drawn_images: list[DrawnImage] = described("Records that are shown, evenly spread.", factory=list)
    warnings: list[str] = described(WARNINGS, factory=list)
    image: str = described("Path of the image that was drawn.", "")
    dry_run: bool = described(DRY_RUN, False)
    damaged_ranges: int = described(DAMAGED_RANGES, 0)
    damaged_bytes: int = described(DAMAGED_BYTES, 0)
    lost: int | None = described(LOST, None)
    doubtful: int = described(DOUBTFUL, 0)
    damaged_records: int = described(DAMAGED_RECORDS, 0)


def write_draws_sheet(
    it: ImageRecordIter, *, draws: int, out: Path, force: bool, dry_run: bool = False, progress: Progress | None = None
) -> DrawsSheet:
    """Draw up to ``MOST_IMAGES`` images of *it*, each as stored and as delivered in epochs 0 to *draws* - 1, to *out*.

    The images are evenly spread over the records of the part; where each epoch deals the records to the parts anew,
    over all records. Below each draw are its random steps that changed the image.

    Raises ParameterError with ``rng=mxnet`` and for a part without records, and OutputError. A record that gives no
    image is no error: its place on the sheet has the reason. *progress* is called with the rows that are done.
    """
    check_replay(it, OPTION)
    check_png(it, out, force=force)  # before the work
    params = it.params
    sheet = DrawsSheet(
        input=params.path_imgrec,
        records=it.count,
        data_shape=list(params.shape),
        seed=params.draws_seed,
        epochs=draws,
        parameters=set_words(params, _SHOWN),
        image=str(out),
        dry_run=dry_run,
        **loader_of(it).records.damage()._asdict(),
    )
    names = class_names_of(it)
    rows: list[Row] = []
    differ = False
    ordinals = _spread(it)
    for done, ordinal in enumerate(ordinals, 1):
        row = _DrawnRow(it, ordinal, draws, names)
        rows.append((row.heading, row.tiles))
        sheet.drawn_images.append(row.image)
        sheet.damaged_records += row.is_damaged
        differ |= row.differs
        if progress:
            progress(done, done / len(ordinals))
    if not differ and any(image.labels for image in sheet.drawn_images):  # one was made at least
        sheet.warnings = _why_the_same(params, draws)
    if not dry_run:
        write_png(_drawn(sheet, rows), out, force=force)
    return sheet


def _spread(it: ImageRecordIter) -> list[int]:
    """Return the ordinals of the records to show. Raises ParameterError if the part has none."""
    params, records = it.params, loader_of(it).records
    first, last = 0, len(records)
    if not (params.shuffle and params.scope == "all"):
        first, last = Partition(len(records), params.num_parts, interleaved=False).bounds(params.part_index)
    if first == last:
        raise ParameterError(f"part_index={params.part_index} has no records", hint="set a lower num_parts")
    ordinals: list[int] = records.ordinals(first + np.array(evenly_spaced(last - first, MOST_IMAGES))).tolist()
    return ordinals


def _why_the_same(params: ImageRecordParams, draws: int) -> list[str]:
    """Return a warning if nothing is random, or if what is random shows in none of several *draws*."""
    keys = changed(params, _RANDOM) + (["inter_method"] if params.inter_method == RANDOM else [])
    if not keys:
        advice = "rand_crop=1, rand_mirror=1 or brightness=0.3 would change that (--list-params lists all keys)"
        return [f"the draws are all the same, as no random augmentation is set; {advice}"]
    return [f"the draws are all the same: {', '.join(keys)} changed none of them"] if draws > 1 else []


class _DrawnRow:
    """The row of one record: its *heading* and *tiles*, and what is known of it for the result.

    *differs* is True if its draws are not all the same.
    """

    def __init__(self, it: ImageRecordIter, ordinal: int, draws: int, names: ClassNames | None) -> None:
        self.tiles: list[Tile] = []
        self.differs = self.is_damaged = False
        self._problem = ""  # the first
        location = loader_of(it).records.locate(ordinal)
        self.image = DrawnImage(location.record, ordinal)
        try:
            self._draw(it, ordinal, draws, names)
        except BadRecordError as error:
            self._note(error)
            self.tiles.append(Tile(None, error.reason, ["stored"]))
        self.heading = self._heading()

    def _draw(self, it: ImageRecordIter, ordinal: int, draws: int, names: ClassNames | None) -> None:
        stored, image = read_stored(it, ordinal), self.image
        image.id, (image.width, image.height) = stored.header.id, stored.size
        self.tiles.append(Tile(fitted(stored.shown), "", [f"stored {image.width} x {image.height}"]))
        first: Image | None = None
        for epoch in range(draws):
            caption = f"epoch {epoch}"
            try:
                made = make(it, stored, epoch)
            except BadRecordError as error:
                self._note(error)
                image.draws.append([])
                self.tiles.append(Tile(None, error.reason, [caption]))
                continue
            image.labels = [whole(label) for label in made.labels]
            image.class_name = class_name(names, made.labels)
            drawn = [change for change in made.changes if change.drawn]
            image.draws.append([change.words for change in drawn])
            if made.flaw:
                self._note(made.flaw)
            self.tiles.append(Tile(fitted(made.pixels), "", [caption, *_short_lines(drawn)]))
            first = made.pixels if first is None else first
            self.differs |= bool((first != made.pixels).any())

    def _note(self, error: BadRecordError) -> None:
        self.image.id = error.id if self.image.id is None else self.image.id
        self._problem = self._problem or error.problem
        self.is_damaged |= error.reason == DAMAGED_RECORD
        if str(error) not in self.image.problems:
            self.image.problems.append(str(error))

    def _heading(self) -> str:
        image = self.image
        parts = [f"record {image.record}", f"id {image.id}" if image.id is not None else ""]
        if image.labels:
            parts.append(labelled(image.labels, image.class_name))
        return ", ".join(filter(None, parts)) + (f": {self._problem}" if self._problem else "")


def _short_lines(changes: Iterable[Change]) -> list[str]:
    """Return the short words of *changes*, as many on a line as fit, and a count of those for which no line is left."""
    lines: list[str] = []
    # First the one of which there is no sign in the image alone.
    by_sight = sorted(changes, key=lambda change: change.words != MIRROR)
    words = [word for change in by_sight for word in change.short]
    for number, word in enumerate(words):
        if lines and len(lines[-1]) + len(word) + 2 <= SHORT_LETTERS:
            lines[-1] += f", {word}"
        elif len(lines) < _MOST_LINES:
            lines.append(word)
        else:
            return [*lines, f"and {len(words) - number} more"]
    return lines


def _drawn(sheet: DrawsSheet, rows: list[Row]) -> bytes:
    """Return a PNG file of *rows*, with what was set above them."""
    last = f" to {sheet.epochs - 1}" if sheet.epochs > 1 else ""
    images = f"{len(rows):,} of {counted(sheet.records, 'record')}"
    title = [
        f"{file_names(sheet.input)}: {images}, as stored and as in epoch{'s' if last else ''} 0{last}",
        f"seed {sheet.seed}, {' '.join(sheet.parameters)}",
    ]
    return draw_rows(rows, title, columns=1 + sheet.epochs)
