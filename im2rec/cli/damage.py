"""Damage of a ``.rec`` in the results of commands: rows of a table, and the command that saves the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import click

from im2rec.cli.console import path_word
from im2rec.errors import counted, human_size
from im2rec.storage.damaged_range import DamagedRange, named_ranges
from im2rec.storage.reader import DROP, KEEP


class IteratedDamage(Protocol):
    """The fields of the results of ``iterate`` and ``bench`` that say what was damaged; their modules import much."""

    @property
    def damaged_ranges(self) -> int:
        """Damaged ranges of bytes."""

    @property
    def damaged_bytes(self) -> int:
        """Bytes in all damaged ranges."""

    @property
    def damaged_records(self) -> int:
        """Records that reading has shown to be damaged."""

    @property
    def lost(self) -> int | None:
        """Records that the index lists and that are lost; None if no index tells."""

    @property
    def doubtful(self) -> int:
        """Records that end at damage and that nothing proves to be whole."""


doubtful_option = click.option(
    "--doubtful",
    type=click.Choice([KEEP, DROP]),
    default=KEEP,
    show_default=True,
    help="Keep or leave out records that end at damage and that nothing proves to be whole.",
)


def doubtful_row(count: int) -> tuple[str, str]:
    """Return a row on *count* doubtful records of the input, some of which a filter may have left out."""
    return "doubtful", f"{counted(count, 'record')}, taken for whole; --doubtful drop leaves out such" if count else ""


def recover_words(rec: str) -> list[str]:
    """Return the command that saves all whole records of the damaged file *rec*."""
    path = Path(rec)
    return ["im2rec", "recover", path_word(rec), path_word(str(path.with_name(f"{path.stem}_recovered.rec")))]


def range_rows(
    ranges: Sequence[DamagedRange], count: int, nbytes: int, *, brief: bool = False
) -> list[tuple[str, str]]:
    """Return rows on *count* damaged ranges of *nbytes* in all, of which the first are in *ranges*.

    They continue the row before them. If *brief*, the problem of each range is left out.
    """
    if not count:
        return []
    lines = named_ranges(ranges, count)
    if brief:
        lines = [line.partition(": ")[0] for line in lines]
    total = f"{counted(count, 'damaged range')}, {human_size(nbytes)} in all:"
    return [("", line) for line in (total, *lines)]


def damage_row(result: IteratedDamage) -> tuple[str, str]:
    """Return a row on how much of a file is damaged and lost that an iterator went over."""
    ranges = f"{counted(result.damaged_ranges, 'range')} of {human_size(result.damaged_bytes)} in all"
    parts = [
        ranges if result.damaged_ranges else "",
        f"{counted(result.lost, 'record')} lost" if result.lost is not None and result.damaged_ranges else "",
        f"{counted(result.damaged_records, 'record')} damaged inside" if result.damaged_records else "",
        f"{result.doubtful:,} doubtful, kept (not with doubtful=drop)" if result.doubtful else "",
    ]
    return "damaged", ", ".join(filter(None, parts))
