"""The rows of a summary on checks that were asked for: decoding, digest, profile.

The functions name the first of many failures in rows of their own, unless *lists* is False.
"""

from __future__ import annotations

from im2rec.errors import counted, human_size
from im2rec.inspection.digest_check import AGREES, CHANGED, NONE, ChangedRange, DigestCheck
from im2rec.inspection.report import Survey
from im2rec.inspection.set_rows import failure_text, readers_text
from im2rec.selection.decoding import Verification

MAX_ROWS = 3  # of a kind of which there may be many: the whole table has at most 24 lines


def verified_rows(verification: Verification | None, *, lists: bool, most: int = MAX_ROWS) -> list[tuple[str, str]]:
    """Return rows on the images that were decoded; *most* of those that failed have a row of their own."""
    if verification is None:
        return []
    flaws = "".join(f", {count:,} of them with {flaw}" for flaw, count in verification.flaws.items())
    rows = [
        (
            "decoded",
            f"{counted(verification.decoded, 'image')}{flaws}; {counted(len(verification.failures), 'failure')}",
        )
    ]
    if not lists:
        return rows
    failures = [
        ("failed", f"record {bad.record}{'' if bad.id is None else f', id {bad.id}'}, byte {bad.offset}: {bad.reason}")
        for bad in verification.failures
    ]
    return rows + shortened(failures, "failure", most=most)


def digest_rows(check: DigestCheck | None, *, lists: bool) -> list[tuple[str, str]]:
    """Return rows on the comparison with the digest."""
    if check is None:
        return []
    if check.state == NONE:
        return [("digest", "none: --verify finds what does not decode, not changed pixels")]
    was_damaged = ", of a file that was damaged already" if check.damaged_bytes else ""
    changed = "CHANGED"
    if check.changed:
        changed += f", {human_size(check.changed_bytes)} in {counted(len(check.changed), 'range')}"
    found = {AGREES: "every byte agrees", CHANGED: changed}.get(check.state, "WRONG")
    problem = f": {check.problem}" if check.problem else ""
    problem += f"; {counted(check.moved_blocks, 'block')} moved" if check.moved_blocks else ""
    ranges = [("changed", changed_text(part)) for part in check.changed] if lists else []
    return [("digest", f"{check.path}{was_damaged}: {found}{problem}"), *shortened(ranges, "changed range")]


def changed_text(part: ChangedRange) -> str:
    """Return in words where the bytes of *part* are, and which records they belong to."""
    return f"bytes {part.start} to {part.end}: {_records_in(part)}"


def _records_in(part: ChangedRange) -> str:
    if not part.records:
        return "no whole record"
    ids = ", ".join(map(str, part.first_ids[:MAX_ROWS])) + (", ..." if part.records > MAX_ROWS else "")
    of_ids = f", id {ids}" if part.first_ids else ""
    if part.records == 1:
        return f"record {part.first_record}{of_ids}"
    return f"records {part.first_record} to {part.last_record}{of_ids}"


def shortened(
    rows: list[tuple[str, str]], what: str, count: int | None = None, most: int = MAX_ROWS
) -> list[tuple[str, str]]:
    """Return the first *most* of *rows*, and a row on how many more there are of *count*, or of *rows* without it.

    That row takes the place of two others at least: of a single one it would say less than the one itself.
    """
    count = len(rows) if count is None else count
    if count <= len(rows) <= most + 1:
        return rows
    return [*rows[:most], ("more", f"{counted(count - most, what)}; --json lists all")]


def profile_rows(summary: Survey, *, lists: bool) -> list[tuple[str, str]]:
    """Return rows on what published readers assume, and which of them take the set."""
    check = summary.profile
    if check is None:
        return []
    verdict = counted(check.failed, "failure") if check.failed else "all that published readers assume is so"
    failures = [("failed", failure_text(failure)) for failure in check.profile_failures]
    most = 1 if summary.damage or len(summary.problems) > 1 else MAX_ROWS  # the rows above say what is wrong already
    rows = [("profile", f"{check.name}: {verdict}")]
    if lists:
        rows += shortened(failures, "failure", check.failed, most)
    return [*rows, ("readers", readers_text(check.readers))]
