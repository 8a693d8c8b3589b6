"""Replay of one record of an epoch: its random numbers, its augmentation, and its image beside the stored one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from PIL import Image, ImageDraw

from im2rec.errors import BadRecordError, ParameterError
from im2rec.images.sheet import Tile, draw_rows, fitted, labelled
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.pipeline.records import Records
from im2rec.runs.changes import Corner, used_draws
from im2rec.runs.made_record import MadeImage, StoredRecord, check_replay, make, read_stored
from im2rec.runs.outputs import class_names_of
from im2rec.schema import DRY_RUN, INPUT, Number, described, whole
from im2rec.storage.classes import class_name
from im2rec.storage.output import AtomicFile, refuse_existing, refuse_same_file, writing

SIDE = 672  # pixels that either image has at most: 3 x 224, 6 x 112, 21 x 32
_LEAST_SIDE = 320  # pixels, for the lines of text below a small one
_LINE, _HALO = "#ff3b30", "#ffffff"  # of the frame around what is cropped: seen on dark and on light


@dataclasses.dataclass(frozen=True)
class ReplayedRecord:
    """A record in an epoch: its location, stored size, random numbers and steps."""

    input: str = described(INPUT)
    record: int = described("Ordinal of the record in its file, from 0.")
    ordinal: int = described("Ordinal of the record over all joined files, from 0.")
    epoch: int = described("The epoch, from 0.")
    id: int = described("Id in the image header.")
    labels: list[Number] = described("Labels of the record.")
    height: int = described("Height of the stored image in pixels.")
    width: int = described("Width of the stored image in pixels.")
    drawn: dict[str, float] = described("Random numbers by name, those without effect too.")
    steps: list[str] = described("Steps that were applied, in order, those without effect too.")
    image: str = described("Path of the image that was drawn.")
    dry_run: bool = described(DRY_RUN, False)
    class_name: str | None = described("Name of the class; null if no class names are beside the file.", None)
    seed: int = described("Seed of the random numbers.", 0)
    acted: list[str] = described("Steps that changed the image, in order and in words.", factory=list)
    used: dict[str, float] = described("Random numbers that decided these steps, by name.", factory=dict)
    made_height: int = described("Height of the image that was made in pixels.", 0)
    made_width: int = described("Width of the image that was made in pixels.", 0)


def replay(
    it: ImageRecordIter, *, epoch: int, ordinal: int, out: Path, force: bool, dry_run: bool = False
) -> ReplayedRecord:
    """Load record *ordinal* (over all joined files) as *it* delivers it in *epoch*, and draw it to *out*.

    The PNG shows the stored image, with a frame around what is cropped, and beside it the image that was made. Both are
    enlarged by a whole factor, or reduced, to be at most ``SIDE`` pixels wide and high.

    Raises ParameterError with ``rng=mxnet`` or for a record that is not iterated over, BadRecordError and OutputError.
    """
    check_replay(it, "--replay")
    check_png(it, out, force=force)
    _check_ordinal(loader_of(it).records, ordinal)
    stored = read_stored(it, ordinal)
    made = make(it, stored, epoch)
    size, location = stored.size, stored.location
    height, width, _ = made.pixels.shape
    shown = ReplayedRecord(
        input=str(location.file.path),
        record=location.record,
        ordinal=ordinal,
        epoch=epoch,
        id=stored.header.id,
        labels=[whole(label) for label in made.labels],
        height=size.height,
        width=size.width,
        drawn=made.drawn,
        steps=made.steps,
        image=str(out),
        dry_run=dry_run,
        class_name=class_name(class_names_of(it), made.labels),
        seed=it.params.draws_seed,
        acted=[change.words for change in made.changes],
        used=used_draws(made.changes, made.drawn),
        made_height=height,
        made_width=width,
    )
    if not dry_run:
        write_png(_drawn(shown, stored, made), out, force=force)
    return shown


def _check_ordinal(records: Records, ordinal: int) -> None:
    if not 0 <= ordinal < records.total:
        raise ParameterError(f"--replay record={ordinal} must be 0 to {records.total - 1}")
    if ordinal in records.left_out and not isinstance(records.read(ordinal), BadRecordError):
        raise ParameterError(f"--replay record={ordinal} holds labels and no image", hint="set records=all")


def check_png(it: ImageRecordIter, out: Path, *, force: bool) -> None:
    """Raise OutputError if *out* cannot be written, exists and *force* is False, or is a file that *it* reads."""
    params = it.params
    values = params.path_imgidx, params.path_imglist, params.mean_img
    used = [Path(word) for value in values for word in value.split(";") if word]
    used += [file.path for file in loader_of(it).records.files]
    with writing(out):
        if out.parent.is_dir():  # otherwise it is made
            refuse_existing([out], force=force)
        for path in used:
            refuse_same_file(out, path)


def write_png(content: bytes, out: Path, *, force: bool) -> None:
    """Write the PNG file *content* to *out*, in a folder that is made if it is missing. Raises OutputError."""
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with AtomicFile(out, force=force) as file:
        file.write(content)


def _drawn(shown: ReplayedRecord, stored: StoredRecord, made: MadeImage) -> bytes:
    """Return a PNG file of both images side by side, with the steps between them in words."""
    title = [
        f"record {shown.record} of {Path(shown.input).name} in epoch {shown.epoch}",
        f"id {shown.id}, {labelled(shown.labels, shown.class_name)}, seed {shown.seed}",
    ]
    before, after = fitted(stored.shown, SIDE), fitted(made.pixels, SIDE)
    lines = [f"stored {shown.width} x {shown.height}"]
    if made.region:
        lines.append("the frame is around the part that is shown on the right")
        _draw_region(before, made.region, before.width / shown.width, before.height / shown.height)
    caption = f"epoch {shown.epoch}: {shown.made_width} x {shown.made_height}"
    tiles = [Tile(before, "", lines), Tile(after, "", [caption, *(shown.acted or ["no step changed it"])])]
    return draw_rows([("", tiles)], title, cell=max(_LEAST_SIDE, *before.size, *after.size))


def _draw_region(image: Image.Image, corners: list[Corner], scale_x: float, scale_y: float) -> None:
    """Draw a thin frame through *corners*, in pixels of an image that *image* shows enlarged or reduced."""
    right, lower = image.width - 1, image.height - 1
    points = [(x * scale_x, y * scale_y) for x, y in corners]
    if len({x for x, _ in points}) == len({y for _, y in points}) == 2:  # upright: seen at the edges too
        points = [(min(max(x, 1), right - 1), min(max(y, 1), lower - 1)) for x, y in points]
    draw = ImageDraw.Draw(image)
    for color, width in ((_HALO, 4), (_LINE, 2)):
        draw.line([*points, points[0], points[1]], color, width, joint="curve")
