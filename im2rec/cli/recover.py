"""The command ``im2rec recover``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.recovery.recover import RecoverOptions, recover
from im2rec.recovery.repair import ByteRange, RepairSummary, repair_with_index
from im2rec.recovery.report import RecoverSummary
from im2rec.storage.companions import index_to_write
from im2rec.storage.damaged_range import DamagedRange, named_range
from im2rec.storage.reader import DROP, KEEP

_FEW_RANGES = 2  # the whole table has a dozen lines
_MAX_KEYS = 8


@click.command("recover", cls=HelpCommand)
@click.argument("rec", metavar="IN", type=PATH)
@click.argument("out", type=PATH)
@click.option("--idx", "index", type=PATH, help="The old index of IN [default: the one beside it].")
@click.option("--no-idx", is_flag=True, help="Use no old index: it is not known then which records are lost.")
@click.option(
    "--list", "list_file", type=PATH, metavar="LST", help="Name lost ids by the list that IN was packed from."
)
@click.option("--report", type=PATH, metavar="FILE", help="Write all damaged ranges, with what was lost, as JSON.")
@click.option(
    "--doubtful",
    type=click.Choice([KEEP, DROP]),
    default=KEEP,
    show_default=True,
    help="Keep records that end at damage, or leave them out.",
)
@click.option(
    "--repair-from",
    "other",
    type=PATH,
    metavar="OTHER",
    help="Restore the whole file: take all that has changed in IN, by its digest, from this second copy.",
)
@common_options(writes=True)
def command(
    console: Console, rec: Path, out: Path, other: Path | None, force: bool, dry_run: bool, **words: Any
) -> ExitCode:
    """Copy all that is whole in a damaged .rec to a new one.

    Copies every whole record of IN, byte for byte, to OUT, with a new index of the true ids and a copy of the class
    names, and lists the damaged byte ranges. With the old index of IN, or its list, the lost records are named. Bytes
    that the disk cannot read are damage, too. Exit code 0: IN is whole; 3: no record is lost, but IN is damaged, or its
    records are not where its index says; 5: records are lost or doubtful, or nothing tells whether any are. With a
    digest and a second copy, --repair-from restores the file itself.

    \b
    Example:
      im2rec recover train.rec saved.rec --report lost.json
    """
    report = words["report"]
    if not dry_run:
        repeat_by(outputs=[out, index_to_write(out), report])
    if other is not None:
        return _repair(console, rec, other, out, words, force=force, dry_run=dry_run)
    if words["no_idx"] and words["index"] is not None:
        raise click.UsageError("--idx and --no-idx exclude each other")
    index = False if words["no_idx"] else words["index"]
    options = RecoverOptions(index=index, list=words["list_file"], report=report, doubtful=words["doubtful"])
    with console.progress("recovering", "record") as progress:
        summary = recover(rec, out, options, force=force, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("recover", summary, render(summary), next_command(summary))
    return exit_code(summary)


def _repair(
    console: Console, rec: Path, other: Path, out: Path, words: dict[str, Any], *, force: bool, dry_run: bool
) -> ExitCode:
    """Repair *rec* from *other*. Raises UsageError if *words* have options of a recovery without a second copy."""
    given = {"idx": words["index"], "no-idx": words["no_idx"], "list": words["list_file"], "report": words["report"]}
    given["doubtful"] = words["doubtful"] != KEEP
    if ignored := [name for name, value in given.items() if value]:
        raise click.UsageError(f"--repair-from restores the file as it was; --{ignored[0]} is for what is whole in IN")
    with console.progress("comparing", "block") as progress:
        summary = repair_with_index(rec, other, out, force=force, dry_run=dry_run, progress=progress)
    console.result("recover", summary, render_repair(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: RecoverSummary | RepairSummary) -> ExitCode:
    """Return DAMAGED (5) if records are lost or doubtful, or may be; PROBLEMS (3) for damage that cost no record.

    PROBLEMS, too, if records of a whole file are not where its old index says.
    Of a repair: DAMAGED if blocks are right in neither copy, PROBLEMS if all that were wrong are right now.
    """
    if isinstance(summary, RepairSummary):
        if summary.bad_blocks:
            return ExitCode.DAMAGED
        return ExitCode.PROBLEMS if summary.repaired_blocks else ExitCode.DONE
    is_unknown = summary.lost is None and summary.damage
    if summary.lost or summary.doubtful or is_unknown:
        return ExitCode.DAMAGED
    return ExitCode.PROBLEMS if summary.damage or summary.index_is_outdated else ExitCode.DONE


def next_command(summary: RecoverSummary | RepairSummary) -> list[str]:
    """Return the command that checks what is in the new file: of a damaged one every image, after a repair every byte.

    The content of a whole record may have been overwritten, which no head shows.
    """
    if isinstance(summary, RepairSummary):
        return ["im2rec", "inspect", path_word(summary.files[0]), "--verify"]
    return ["im2rec", "inspect", path_word(summary.out), *(["--verify"] if summary.damage else [])]


def render(summary: RecoverSummary) -> str:
    """Return the summary as a table of a dozen lines."""
    verb = "would write" if summary.dry_run else "wrote"
    # With copies, or records that no line names, "of" would be wrong.
    are_some = summary.damage and summary.lost is not None and summary.records + summary.lost == summary.listed
    of = f" of {summary.listed:,}" if are_some else ""
    head = f"{verb} {summary.written:,}{of} records of {summary.input}"
    is_whole = not summary.damage and not summary.lost
    moved = f"some records are not where {summary.old_index} says; the new index is right"
    rows = [
        ("whole", "all: the file is not damaged" if is_whole else f"{summary.whole:,}{_doubtful(summary)}"),
        ("lost", _lost(summary)),
        *_damage(summary),
        ("unreadable", f"{human_size(summary.unreadable_bytes)} on the disk" if summary.unreadable_bytes else ""),
        ("moved", moved if summary.index_is_outdated and not summary.damage else ""),
        ("repeated", f"{counted(summary.duplicates, 'record')}, kept" if summary.duplicates else ""),
        ("bytes", f"{human_size(summary.bytes_out)}, in {summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", ", ".join(_written(summary))),
    ]
    return table(head, rows)


def render_repair(summary: RepairSummary) -> str:
    """Return the result of a repair as a table."""
    verb = "would write" if summary.dry_run else "wrote"
    state = "as it was" if not summary.bad_blocks else "with damage that neither copy can repair"
    repaired = counted(summary.repaired_blocks, "block")
    rows = [
        ("blocks", f"{summary.good_blocks:,} of {summary.blocks:,} are right in {summary.input}"),
        ("repaired", f"{repaired}{_bytes(summary.repaired_ranges)}" if summary.repaired_blocks else ""),
        ("bad", f"{counted(summary.bad_blocks, 'block')}{_bytes(summary.bad_ranges)}" if summary.bad_blocks else ""),
        ("digest", summary.digest),
        ("bytes", f"{human_size(summary.size)}, in {summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    return table(f"{verb} {summary.files[0]}: {summary.input} {state}", rows)


def _bytes(ranges: list[ByteRange]) -> str:
    shown = ", ".join(f"{piece.start} to {piece.end}" for piece in ranges[:_FEW_RANGES])
    more = f" and {len(ranges) - _FEW_RANGES:,} more ranges" if len(ranges) > _FEW_RANGES else ""
    return f": bytes {shown}{more}"


def _doubtful(summary: RecoverSummary) -> str:
    if not summary.doubtful:
        return ""
    kept = "left out" if summary.written < summary.records else "kept (--doubtful drop leaves such out)"
    return f"; {summary.doubtful:,} doubtful, ending at damage: {kept}"


def _lost(summary: RecoverSummary) -> str:
    if summary.lost is None:
        return "unknown: there is no old index, and no --list, to tell" if summary.damage else ""
    if not summary.lost:
        return "none" if summary.damage else ""
    keys = [key for piece in summary.damage for key in piece.lost_keys] + summary.unplaced_keys
    kind = str(summary.lost_kind).removesuffix("s") if len(keys) == 1 else summary.lost_kind
    return f"{summary.lost:,} of {summary.listed:,}" + (f": {kind} {_some(keys)}" if keys else "")


def _some(keys: list[int]) -> str:
    more = f" and {len(keys) - _MAX_KEYS:,} more" if len(keys) > _MAX_KEYS else ""
    return ", ".join(map(str, keys[:_MAX_KEYS])) + more


def _damage(summary: RecoverSummary) -> list[tuple[str, str]]:
    found = summary.damage
    if len(found) <= _FEW_RANGES:
        return [("damaged", _range(piece)) for piece in found]
    everywhere = f"{summary.report} lists them" if summary.report else "--report FILE, or --json, lists them"
    total = f"{len(found):,} damaged ranges, {human_size(summary.damaged_bytes)}; {everywhere}"
    return [("damaged", _range(found[0])), ("in all", total)]


def _range(piece: DamagedRange) -> str:
    return named_range(piece) + (f"; {piece.lost:,} lost" if piece.lost else "")


def _written(summary: RecoverSummary) -> list[str]:
    return [name for name in (summary.out, summary.index_out, summary.report, summary.classes_out) if name]
