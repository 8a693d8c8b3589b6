"""The two forms of ``im2rec iterate`` that draw what the augmentation does: ``--replay`` and ``--sheet-draws``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from im2rec.cli.console import Console, first_of, listed, path_word, table
from im2rec.cli.damage import damage_row, recover_words
from im2rec.cli.exit_codes import ExitCode
from im2rec.errors import ParameterError, counted
from im2rec.images.sheet import labels_text
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.runs.draws_sheet import DRAWS_NAME, OPTION, DrawsSheet, write_draws_sheet
from im2rec.runs.replay import ReplayedRecord, replay

_MOST_NUMBERS, _MOST_PROBLEMS = 12, 3  # in the table; --json lists all


def check_words(replayed: str | None, draws: int | None, *, epochs: int, max_batches: int | None) -> None:
    """Raise ParameterError for a value of ``--replay`` that is none, and for options that exclude each other."""
    if replayed is not None:
        epoch_and_record(replayed)
        if draws is not None:
            raise ParameterError(f"--replay and {OPTION} draw two different images", hint="leave one of the two out")
    elif draws is None:
        return
    if epochs != 1 or max_batches is not None:
        option = "--epochs" if epochs != 1 else "--max-batches"
        drawing = (
            "--replay, which names its epoch"
            if draws is None
            else f"{OPTION}, whose draws are those of the first epochs"
        )
        raise ParameterError(f"{option} has no meaning with {drawing}")


def epoch_and_record(words: str) -> tuple[int, int]:
    """Return the numbers of ``epoch=E,record=N``. Raises ParameterError for anything else."""
    try:
        pairs = [word.split("=") for word in words.split(",")]
        numbers = {name: int(value) for name, value in pairs}
    except ValueError:
        pairs, numbers = [], {}
    if sorted(pair[0] for pair in pairs) != ["epoch", "record"] or min(numbers.values()) < 0:
        raise ParameterError(f"--replay {words} must be epoch=E,record=N, both counted from 0")
    return numbers["epoch"], numbers["record"]


def draw(
    console: Console,
    it: ImageRecordIter,
    again: list[str],
    *,
    replayed: str | None,
    draws: int | None,
    folder: Path,
    force: bool,
    dry_run: bool,
) -> ExitCode:
    """Draw the sheet of *draws*, or else the record *replayed*, to *folder*, and print the result.

    *again* is the command without its options, from which the next one is made.
    """
    if draws is not None:
        writing: dict[str, Any] = {"out": folder / DRAWS_NAME, "force": force, "dry_run": dry_run}
        with console.progress("drawing", "image") as progress:
            sheet = write_draws_sheet(it, draws=draws, **writing, progress=progress)
        console.warn(sheet.warnings)
        console.result("iterate", sheet, render_draws(sheet), _after_draws(sheet, again))
        return exit_code(sheet)
    epoch, ordinal = epoch_and_record(replayed or "")
    out = folder / f"epoch{epoch}_record{ordinal}.png"
    shown = replay(it, epoch=epoch, ordinal=ordinal, out=out, force=force, dry_run=dry_run)
    next_words = [*again, "--replay", f"epoch={epoch + 1},record={ordinal}"]
    console.result("iterate", shown, render_replay(shown), next_words)
    return ExitCode.DONE


def render_replay(shown: ReplayedRecord) -> str:
    """Return one replayed record as a table: the steps that changed it, and the random numbers that decided them."""
    # Names of values that were drawn again end in ", try 2".
    numbers = [f"{name.replace(', ', ' of ')} = {value:.6g}" for name, value in shown.used.items()]
    steps = shown.acted or ["none that changed the image"]
    table_rows = [
        ("id", str(shown.id)),
        ("label", labels_text(shown.labels, shown.class_name)),
        ("stored", f"{shown.width} x {shown.height} pixels"),
        ("made", f"{shown.made_width} x {shown.made_height} pixels"),
        *listed("steps", steps),
        ("drawn", ", ".join(first_of(numbers, _MOST_NUMBERS))),
        ("seed", str(shown.seed)),
        ("would write" if shown.dry_run else "written", shown.image),
    ]
    return table(f"record {shown.record} of {shown.input} in epoch {shown.epoch}", table_rows)


def exit_code(sheet: DrawsSheet) -> ExitCode:
    """Return DAMAGED (5) before PROBLEMS (3): some of the images that are shown are missing or cut short."""
    if sheet.damaged_ranges or sheet.damaged_records:
        return ExitCode.DAMAGED
    return ExitCode.PROBLEMS if any(image.problems for image in sheet.drawn_images) else ExitCode.DONE


def _after_draws(sheet: DrawsSheet, again: list[str]) -> list[str] | None:
    """Return the command that shows the last draw of the first image; after problems, the one that lists them.

    Of several files without a whole image there is none.
    """
    code = exit_code(sheet)
    if code == ExitCode.DAMAGED and Path(sheet.input).is_file():
        return recover_words(sheet.input)
    if code != ExitCode.DONE and Path(sheet.input).is_file():
        return ["im2rec", "inspect", path_word(sheet.input), "--verify"]
    made = next((image for image in sheet.drawn_images if not image.problems), None)
    if made is None:  # of joined files, which no other command takes as they are
        return None
    return [*again, "--replay", f"epoch={sheet.epochs - 1},record={made.ordinal}"]


def render_draws(sheet: DrawsSheet) -> str:
    """Return the summary of a sheet of draws as a table."""
    some = f"{len(sheet.drawn_images):,} of {counted(sheet.records, 'record')}"
    problems = [problem for image in sheet.drawn_images for problem in image.problems]
    table_rows = [
        ("set", " ".join(sheet.parameters)),
        ("seed", str(sheet.seed)),
        damage_row(sheet),
        *listed("problems", first_of(problems, _MOST_PROBLEMS)),
        ("would write" if sheet.dry_run else "written", sheet.image),
    ]
    verb = "would draw" if sheet.dry_run else "drew"
    epochs = f"epochs 0 to {sheet.epochs - 1}" if sheet.epochs > 1 else "epoch 0"
    return table(f"{verb} {some} of {sheet.input}, each as stored and as in {epochs}", table_rows)
