"""The results of ``recover`` and ``index`` as dataclasses: the objects that ``--json`` prints."""

from __future__ import annotations

import dataclasses
import json

from im2rec.schema import BYTES_OUT, DRY_RUN, INPUT, RECORDS, SCHEMA, SECONDS, WARNINGS, as_json, described
from im2rec.storage.damaged_range import DAMAGE, DAMAGED_BYTES, DAMAGED_RANGES, DamagedRange
from im2rec.storage.output import AtomicFile

_DOUBTFUL = "Records that end at damage and that nothing proves to be whole."
_KEY_KIND = "`ids` or `ordinals`: the keys of the new index."


@dataclasses.dataclass
class RecoverSummary:
    """The result of :func:`~im2rec.recovery.recover.recover`, as ``--json`` and ``--report`` give it."""

    input: str = described(INPUT)
    out: str = described("The file that is written.")
    index_out: str = described("The index that is written.")
    size: int = described("Size of the input in bytes.")
    records: int = described(f"{RECORDS} They are whole or doubtful.")
    doubtful: int = described(_DOUBTFUL)
    written: int = described("Records in the output; `--doubtful drop` leaves out the doubtful ones.")
    lost: int | None = described("Records that are lost; null if neither an index nor a list tells.")
    listed: int | None = described("Records that the index or the list names; null without one.")
    lost_kind: str | None = described("`ids` or `keys`: the numbers by which lost records are named; null if none are.")
    unplaced_keys: list[int] = described("The same numbers, of lost records whose place in the file is not known.")
    duplicates: int | None = described("Records that repeat an earlier one; null in a dry run, which does not compare.")
    key_kind: str = described(_KEY_KIND)
    bytes_out: int = described(BYTES_OUT)
    damage: list[DamagedRange] = described("Damaged ranges of bytes.")
    damaged_bytes: int = described("Bytes in all damaged ranges.")
    unreadable_bytes: int = described("Bytes that the disk cannot read.")
    old_index: str | None = described(
        "Path of the old index that was used; null if there is none, or it does not fit.", None
    )
    list_file: str | None = described("Path of the list that lost ids were looked up in.", None)
    report: str | None = described("Path of the report.", None)
    seconds: float = described(SECONDS, 0.0)
    index_is_outdated: bool = described("True if the ids show records at other bytes than the old index has.", False)
    dry_run: bool = described(DRY_RUN, False)
    warnings: list[str] = described(WARNINGS, factory=list)
    classes_out: str | None = described("The copy of the class names beside the input; null if there is none.", None)

    @property
    def whole(self) -> int:
        """Records that are whole."""
        return self.records - self.doubtful


@dataclasses.dataclass
class IndexSummary:
    """The result of :func:`~im2rec.recovery.reindex.write_index`, as ``--json`` prints it."""

    input: str = described(INPUT)
    out: str = described("The index that is written.")
    records: int = described(RECORDS)
    listed: int = described("Records in the index.")
    left_out: dict[str, int] = described("Records that are not in the index, by reason.")
    doubtful: int = described(_DOUBTFUL)
    key_kind: str = described(_KEY_KIND)
    bytes_out: int = described(BYTES_OUT)
    damage: list[DamagedRange] = described(DAMAGE)
    damaged_ranges: int = described(DAMAGED_RANGES)
    damaged_bytes: int = described(DAMAGED_BYTES)
    seconds: float = described(SECONDS, 0.0)
    dry_run: bool = described(DRY_RUN, False)
    warnings: list[str] = described(WARNINGS, factory=list)


def write_report(file: AtomicFile, summary: RecoverSummary) -> None:
    """Write *summary* to *file* as the object that ``--json`` prints, indented. Raises OutputError."""
    encoder = json.JSONEncoder(indent=1, allow_nan=False)
    for piece in encoder.iterencode({"schema": SCHEMA, "command": "recover", **as_json(summary)}):
        file.write(piece.encode())
    file.write(b"\n")
