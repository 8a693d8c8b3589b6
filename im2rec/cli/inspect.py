"""The command ``im2rec inspect``."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from typing import Any

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.damage import range_rows, recover_words
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.group import NAME
from im2rec.cli.inspect_outputs import InspectOutputs, output_rows
from im2rec.errors import CorruptRecordError, counted, human_size
from im2rec.images.sheet import number_text
from im2rec.inspection.check_rows import MAX_ROWS
from im2rec.inspection.digest_check import check_digest
from im2rec.inspection.face_profile import PROFILE
from im2rec.inspection.html.report import Origin
from im2rec.inspection.report import Survey
from im2rec.inspection.rows import damage_text, headline, summary_rows
from im2rec.inspection.show import RecordView, ShownRecords, first_records, records_by_key
from im2rec.inspection.survey import survey_whole
from im2rec.inspection.verdict import Verdict, verdict_on
from im2rec.inspection.verify import verify

_MAX_LABELS = 8
_MAX_LINES = 24  # with the next command
# Rows that are left out if there are too many, the first ones first; --json has all.
_EXPENDABLE = (
    "EXIF",
    "quality",
    "payloads",
    "arcface",
    "height",
    "width",
    "header",
    "objects",
    "ids",
    "property",
    "images",
    "classes",
    "content",
    "labels",
    "histogram",
    "note",
    "ranges",
    "faces",
)


_CODES = {
    Verdict.SOUND: ExitCode.DONE,
    Verdict.PROBLEMS: ExitCode.PROBLEMS,
    Verdict.NO_IMAGES: ExitCode.BAD_INPUT,
    Verdict.DAMAGED: ExitCode.DAMAGED,
}


@click.command("inspect", cls=HelpCommand)
@click.argument("rec", type=PATH)
@click.option("--idx", "index", type=PATH, help="The index to compare with REC [default: the one beside it].")
@click.option("--no-idx", is_flag=True, help="Use no index: nothing is compared, and keys are ids.")
@click.option("--head", type=click.IntRange(min=1), metavar="N", help="Show the first N records, and no summary.")
@click.option(
    "--key",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="K",
    help="Show the record with this index key, and no summary; may be repeated.",
)
@click.option("--all", "every", is_flag=True, help="Read the size and channels of every image, not only of 1000.")
@click.option(
    "--verify",
    "decode",
    is_flag=True,
    help="Decode every image, and compare all bytes with REC.digest, if it is there.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Number of processes for --verify [default: all CPUs]."
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    metavar="N",
    help="Decode no image of more than N pixels [default: none that needs more than 1 GiB].",
)
@click.option("--sheet", type=PATH, metavar="FILE.png", help="Draw 60 of the images; of a face set, a row an identity.")
@click.option(
    "--html",
    type=PATH,
    metavar="FILE.html",
    help="Write a page to send: all of this, images, charts, and problems by record.",
)
@click.option(
    "--profile",
    type=click.Choice([PROFILE]),
    help="Check what published readers of face-recognition sets assume, and name each record that fails.",
)
@common_options(writes=True)
def command(
    console: Console, rec: Path, head: int | None, key: tuple[int, ...], index: Path | bool | None, **options: Any
) -> ExitCode:
    """Summarise a .rec and check that it is whole.

    Reads the headers and the first bytes of all records of REC: labels, ids, kinds and sizes of images, and the index.
    Exit code 0: whole; 3: the index or the content of records is wrong; 4: no images; 5: damaged, with the numbers of
    whole, doubtful and lost records, and the damaged byte ranges. A doubtful record ends at damage, and nothing proves
    that it is whole.
    """
    if options["no_idx"]:
        if index is not None:
            raise click.UsageError("--idx and --no-idx exclude each other")
        index = False
    if head is not None or key:
        return _show_records(console, rec, head, key, index, options)
    outputs = InspectOutputs(options["sheet"], options["html"], force=options["force"])
    outputs.check(rec, index)
    with console.progress("surveying", "record") as progress:
        findings = survey_whole(
            rec,
            index=index,
            every=options["every"],
            profile=options["profile"] is not None,
            charts=outputs.html is not None,
            progress=progress,
        )
    summary = findings.summary
    if options["decode"]:
        _verify_all(console, rec, summary, index, workers=options["workers"], max_pixels=options["max_pixels"])
    summary.sheet, summary.html = (None if path is None else str(path) for path in (outputs.sheet, outputs.html))
    same = _same_options(index, options)
    summary.dry_run, following = options["dry_run"], next_command(summary, same, options["max_pixels"])
    if not summary.dry_run:
        made_by, list_all = shlex.join(["im2rec", *console.words]), shlex.join(_listing(summary, same))
        origin = Origin(made_by, _version(), list_all, shlex.join(following or []))
        outputs.write(rec, index, findings, origin, max_pixels=options["max_pixels"])
    console.warn(summary.warnings)
    console.result("inspect", summary, render(summary), following)
    return exit_code(summary)


def _same_options(index: Path | bool | None, options: dict[str, Any]) -> list[str]:
    """Return the options, as typed, without which another command would find something else in the same file."""
    words = ["--no-idx"] if index is False else []
    words += ["--idx", path_word(str(index))] if isinstance(index, Path) else []
    words += ["--all"] if options["every"] else []
    return [*words, *(["--max-pixels", str(options["max_pixels"])] if options["max_pixels"] else [])]


def _version() -> str:
    return str(importlib.import_module(NAME).__version__)


def _verify_all(console: Console, rec: Path, summary: Survey, index: Path | bool | None, **limits: int | None) -> None:
    """Decode every image, compare all bytes with the digest, and add both results to *summary*."""
    with console.progress("verifying", "record") as progress:
        if not summary.headerless:
            summary.verification = verify(rec, index=index, **limits, progress=progress)
        summary.digest_check = check_digest(rec, index=index, progress=progress)


def _show_records(
    console: Console,
    rec: Path,
    head: int | None,
    keys: tuple[int, ...],
    index: Path | bool | None,
    options: dict[str, Any],
) -> ExitCode:
    """Show single records, as ``--head`` and ``--key`` say; return DAMAGED (5) if damage was met on the way."""
    if ignored := [
        name for name in ("decode", "sheet", "html", "every", "profile", "workers", "max_pixels") if options[name]
    ]:
        name = {"decode": "verify", "every": "all"}.get(ignored[0], ignored[0]).replace("_", "-")
        raise click.UsageError(f"--head and --key show single records; --{name} is for the summary")
    found = ShownRecords(str(rec), [])
    if head is not None:
        found = first_records(rec, head, index)
    if keys:
        try:
            by_key = records_by_key(rec, keys, index)
        except CorruptRecordError as error:
            if not found.shown:
                raise
            by_key = ShownRecords(str(rec), [], [str(error)], met_damage=True)
        found.shown += by_key.shown
        found.warnings = list(dict.fromkeys([*found.warnings, *by_key.warnings]))
        found.met_damage = found.met_damage or by_key.met_damage
    console.warn(found.warnings)
    following = recover_words(str(rec)) if found.met_damage else _verify(str(rec))
    console.result("inspect", found, "\n".join(map(render_record, found.shown)), following)
    return ExitCode.DAMAGED if found.met_damage else ExitCode.DONE


def exit_code(summary: Survey) -> ExitCode:
    """Return DAMAGED (5) before BAD_INPUT (4: no images) before PROBLEMS (3: wrong index, digest or content)."""
    return _CODES[verdict_on(summary)]


def next_command(summary: Survey, same: list[str], max_pixels: int | None) -> list[str] | None:
    """Return the command that saves or reads what is whole; if it is not known which records are bad, the one for that.

    That one has the options *same*, so that it finds no other records. After a failure to decode, up to *max_pixels*,
    it saves what decodes. Of a file with nothing wrong, or whose bytes differ from its digest alone, it shows some
    records.
    """
    rec, verification = path_word(summary.input), summary.verification
    if verification is not None and verification.failures and verification.decoded:
        without_index = ["--no-idx"] if summary.index.state in ("wrong", "not compared") else []
        return [*_decodable(summary.input), *without_index, *(["--max-pixels", str(max_pixels)] if max_pixels else [])]
    if summary.damage:
        return recover_words(summary.input) if summary.records else None
    if (details := _next_check(summary, rec, same)) is not None:
        return details
    if not summary.images or exit_code(summary) in (ExitCode.DONE, ExitCode.DAMAGED):
        return ["im2rec", "inspect", rec, "--head", str(min(3, summary.records))]
    if summary.index.moved and summary.index.path is not None:
        return ["im2rec", "index", rec, "--out", path_word(summary.index.path), "--force"]
    without_index = ["path_imgidx=none"] if summary.index.state == "wrong" else []
    return ["im2rec", "iterate", rec, *without_index, *(["on_error=skip"] if summary.problems else [])]


def _next_check(summary: Survey, rec: str, same: list[str]) -> list[str] | None:
    """Return the command, with the options *same*, that tells which records are bad, if *summary* does not."""
    verification, profile = summary.verification, summary.profile
    if verification is not None and verification.failures:
        return [*_verify(summary.input), *same, "--json"]
    if profile is not None and profile.failed:
        return [*_profile(rec), *same, "--json"]
    if not summary.problems or verification is not None:
        return None
    is_of_set = summary.insightface is not None and summary.problems == summary.insightface.problems
    return [*(_profile(rec) if is_of_set and profile is None else _verify(summary.input)), *same]


def _listing(summary: Survey, same: list[str]) -> list[str]:
    """Return the command, with the options *same*, that lists all problems of *summary*, as JSON."""
    words = ["im2rec", "inspect", path_word(summary.input)]
    words += ["--profile", summary.profile.name] if summary.profile is not None else []
    return [*words, *(["--verify"] if summary.verification is not None else []), *same, "--json"]


def _verify(rec: str) -> list[str]:
    return ["im2rec", "inspect", path_word(rec), "--verify"]


def _decodable(rec: str) -> list[str]:
    """Return the command that writes all images of *rec* that can be decoded to a new file beside it."""
    path = Path(rec)
    out = path_word(str(path.with_name(f"{path.stem}_decodable.rec")))
    return ["im2rec", "select", path_word(rec), out, "--decodable"]


def _profile(word: str) -> list[str]:
    return ["im2rec", "inspect", word, "--profile", PROFILE]


def render(summary: Survey) -> str:
    """Return the survey as a table of at most 23 lines, which leaves one for the next command.

    Where there is room, it names more images that could not be decoded than the first three.
    """
    failures = len(summary.verification.failures) if summary.verification is not None else 0
    for most in range(min(failures, _MAX_LINES), MAX_ROWS, -1):
        text = table(*_table(summary, most))
        if len(text.splitlines()) < _MAX_LINES:
            return text
    head, rows = _table(summary, MAX_ROWS)
    text = table(head, rows)
    for name in _EXPENDABLE:
        if len(text.splitlines()) < _MAX_LINES:
            break
        rows = [row for row in rows if row[0] != name]
        text = table(head, rows)
    return text


def _table(summary: Survey, most_failures: int) -> tuple[str, list[tuple[str, str]]]:
    """Return the headline and all rows, of those on images that could not be decoded *most_failures*."""
    damage = damage_text(summary)
    ranges = range_rows(summary.damage, summary.damaged_ranges, summary.damaged_bytes) if damage else []
    facts = summary_rows(summary, lists=True, most_failures=most_failures)
    return f"{summary.input}: {headline(summary)}", [("damaged", damage), *ranges, *facts, *output_rows(summary)]


def render_record(shown: RecordView) -> str:
    """Return one record as a line on its header and a line on its content."""
    labels = " ".join(map(number_text, shown.labels[:_MAX_LABELS]))
    more = f" and {len(shown.labels) - _MAX_LABELS} more" if len(shown.labels) > _MAX_LABELS else ""
    header = "" if shown.id is None else f", id {shown.id}, {'labels' if shown.flag else 'label'} {labels}{more}"
    pixels = (
        "" if shown.width is None else f", {shown.width} x {shown.height}, {counted(shown.channels or 0, 'channel')}"
    )
    content = f"{shown.content}{pixels}, {human_size(shown.content_bytes)}"
    return table(f"record {shown.record} at byte {shown.offset}{header}", [("content", content)])
