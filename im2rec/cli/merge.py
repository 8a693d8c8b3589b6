"""The command ``im2rec merge``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, digest_option, inspect_words, table
from im2rec.cli.damage import range_rows, recover_words
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.rewriting.merge import merge, outputs_of
from im2rec.rewriting.merge_report import MergeOptions, MergeSummary
from im2rec.rewriting.same_images import SameImage
from im2rec.rewriting.sources import MergedSet
from im2rec.storage.companions import SAME_MAP, beside

_SHOWN = 3  # inputs, and images that are there twice


@click.command("merge", cls=HelpCommand)
@click.argument("inputs", metavar="REC REC...", nargs=-1, required=True, type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--classes",
    type=PATH,
    metavar="FILE",
    help="Give classes of one name one label: the line of the name in this .classes.txt, from 0.",
)
@click.option("--same-labels", is_flag=True, help="Leave labels as they are: they mean the same in all sets.")
@click.option(
    "--header/--no-header",
    default=None,
    help="Write the records of an InsightFace set, or images alone [default: as one of the sets has them].",
)
@click.option("--drop-same", is_flag=True, help="Of images that are there twice, keep the first in OUT only.")
@click.option("--no-same", "find_same", flag_value=False, default=True, help="Look for no images that are there twice.")
@digest_option
@common_options(writes=True)
def command(
    console: Console, inputs: tuple[Path, ...], out: Path, digest: bool, force: bool, dry_run: bool, **words: object
) -> ExitCode:
    """Merge sets of images into one .rec and its index.

    The labels of each set come behind those of the sets before it, unless --classes or --same-labels says otherwise.
    Images have new keys and ids, from 1 in InsightFace sets, where those of a class follow one another and header,
    identity records and 'property' are made anew; from 0 in others. Their contents are not touched. X.keys.tsv and
    X.labels.tsv beside OUT (X.rec) say where images and classes come from, X.same.tsv which images have the same bytes
    as an earlier one. Of damaged sets all whole records are merged: exit code 5.

    \b
    Example:
      im2rec merge ms1mv3/train.rec own/train.rec merged/train.rec --drop-same
    """
    options = MergeOptions(**words)  # type: ignore[arg-type]
    if not dry_run:
        repeat_by(outputs=outputs_of(out))
    with console.progress("merging", "image") as progress:
        summary = merge(inputs, out, options, force=force, digest=digest, dry_run=dry_run, progress=progress)
    console.warn(summary.warnings)
    console.result("merge", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: MergeSummary) -> ExitCode:
    """Return DAMAGED (5) if one of the sets is damaged."""
    return ExitCode.DAMAGED if any(given.damaged_ranges for given in summary.sets) else ExitCode.DONE


def next_command(summary: MergeSummary) -> list[str]:
    """Return the command that inspects the result; of a damaged set the one that saves all whole records."""
    damaged = next((given for given in summary.sets if given.damaged_ranges), None)
    if damaged is not None:
        return recover_words(damaged.path)
    return inspect_words(summary.out, faces=summary.header)


def render(summary: MergeSummary) -> str:
    """Return the summary as a table."""
    verb = "would merge" if summary.dry_run else "merged"
    images, classes = counted(summary.images, "image"), counted(summary.classes, "class", "classes")
    rows = [
        *_inputs(summary.sets),
        *_same(summary),
        ("header", _header(summary)),
        *[row for given in summary.sets for row in _damage(given)][: 2 * _SHOWN],
        ("bytes", human_size(summary.bytes_out)),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s"),
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    return table(f"{verb} {counted(len(summary.sets), 'set')}: {images} of {classes}", rows)


def _inputs(inputs: list[MergedSet]) -> list[tuple[str, str]]:
    lines = [_input(given) for given in inputs[:_SHOWN]]
    more = inputs[_SHOWN:]
    if more:
        lines.append(f"and {counted(len(more), 'more set')} of {sum(given.images for given in more):,} images")
    return [("" if row else "sets", line) for row, line in enumerate(lines)]


def _input(given: MergedSet) -> str:
    parts = [
        f"{given.path}: {counted(given.images, 'image')} of {counted(given.classes, 'class', 'classes')}",
        f"labels from {given.first_label:,}" if given.first_label is not None else "",
        f"{counted(given.without_image, 'record')} without an image left out" if given.without_image else "",
    ]
    return ", ".join(filter(None, parts))


def _same(summary: MergeSummary) -> list[tuple[str, str]]:
    if summary.same is None:
        return []
    if not summary.same:
        return [("same images", "none")]
    parts = [
        counted(summary.same, "repeats an earlier one", "repeat an earlier one"),
        "all dropped" if summary.dropped else "none dropped",
        f"{summary.same_other_class:,} of another class" if summary.same_other_class else "",
        f"{summary.same_within:,} within one set" if summary.same_within else "",
    ]
    where = "" if summary.dry_run else f"; all in {beside(Path(summary.out), SAME_MAP)}"
    examples = sorted(summary.same_images, key=lambda found: found.label == found.first_label)[:1]
    return [("same images", ", ".join(filter(None, parts)) + where), *[("", _example(found)) for found in examples]]


def _example(found: SameImage) -> str:
    one = f"key {found.old_key} of {found.source} (label {found.label})"
    return f"as {one} and key {found.first_old_key} of {found.first_source} (label {found.first_label})"


def _header(summary: MergeSummary) -> str:
    if not summary.header:
        return ""
    ordered = "; ordered by class" if summary.is_sorted else ""
    return f"made anew, with {counted(summary.identities, 'identity record')}{ordered}"


def _damage(given: MergedSet) -> list[tuple[str, str]]:
    rows = range_rows(given.damage, given.damaged_ranges, given.damaged_bytes, brief=True)
    doubtful = f", {counted(given.doubtful, 'doubtful record')} kept" if given.doubtful else ""
    return [("damaged", f"{given.path}: {rows[0][1]}{doubtful}"), *rows[1:]] if rows else []
