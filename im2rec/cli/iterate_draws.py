"""The form of ``im2rec iterate`` that draws what the augmentation does to one record: ``--replay``."""

from __future__ import annotations

from pathlib import Path

from im2rec.cli.console import Console, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.errors import ParameterError
from im2rec.images.sheet import labels_text
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.runs.replay import ReplayedRecord, replay

_MOST_NUMBERS = 12  # in the table; --json lists all


def epoch_and_record(words: str) -> tuple[int, int]:
    """Return the numbers of ``epoch=E,record=N``. Raises ParameterError for anything else."""
    try:
        values = dict(word.split("=") for word in words.split(","))
        numbers = {name: int(value) for name, value in values.items()}
    except ValueError:
        numbers = {}
    if set(numbers) != {"epoch", "record"} or min(numbers.values()) < 0:
        raise ParameterError(f"--replay {words} must be epoch=E,record=N, both counted from 0")
    return numbers["epoch"], numbers["record"]


def draw(
    console: Console, it: ImageRecordIter, again: list[str], *, replayed: str, folder: Path, force: bool, dry_run: bool
) -> ExitCode:
    """Draw the record *replayed* to *folder*, and print the result.

    *again* is the command without its options, from which the next one is made.
    """
    epoch, ordinal = epoch_and_record(replayed)
    out = folder / f"epoch{epoch}_record{ordinal}.png"
    shown = replay(it, epoch=epoch, ordinal=ordinal, out=out, force=force, dry_run=dry_run)
    next_words = [*again, "--replay", f"epoch={epoch + 1},record={ordinal}"]
    console.result("iterate", shown, render_replay(shown), next_words)
    return ExitCode.DONE


def render_replay(shown: ReplayedRecord) -> str:
    """Return one replayed record as a table: the steps that changed it, and the random numbers that decided them."""
    # Names of values that were drawn again end in ", try 2".
    numbers = [f"{name.replace(', ', ' of ')} = {value:.6g}" for name, value in shown.used.items()]
    more = len(numbers) - _MOST_NUMBERS
    drawn = numbers[:_MOST_NUMBERS] + ([f"and {more} more (--json lists all)"] if more > 0 else [])
    steps = shown.acted or ["none that changed the image"]
    table_rows = [
        ("id", str(shown.id)),
        ("label", labels_text(shown.labels, shown.class_name)),
        ("stored", f"{shown.width} x {shown.height} pixels"),
        ("made", f"{shown.made_width} x {shown.made_height} pixels"),
        *(("steps" if number == 0 else "", step) for number, step in enumerate(steps)),
        ("drawn", ", ".join(drawn)),
        ("seed", str(shown.seed)),
        ("would write" if shown.dry_run else "written", shown.image),
    ]
    return table(f"record {shown.record} of {shown.input} in epoch {shown.epoch}", table_rows)
