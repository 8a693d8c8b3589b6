"""The command ``im2rec make-list``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted
from im2rec.packing.make_list import (
    DEFAULT_EXTENSIONS,
    DEFAULT_SEED,
    OTHER_SUFFIX,
    PROBLEMS,
    ListOptions,
    ListSummary,
    counted_suffixes,
    find_stem,
    list_names,
    make_list,
)


def _parse_shares(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[float, ...]:
    """Return the numbers of ``0.8,0.1,0.1``. Raises BadParameter for anything else."""
    try:
        return tuple(float(word) for word in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 0.8,0.1,0.1") from None


@click.command("make-list", cls=HelpCommand)
@click.argument("root", type=PATH)
@click.option("--prefix", type=PATH, help="Start of the output names [default: ROOT's name].")
@click.option(
    "--shuffle", is_flag=True, help="Shuffle the images; the default seed gives the order of MXNet's im2rec.py."
)
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Seed of the shuffle.")
@click.option(
    "--split",
    default="1",
    callback=_parse_shares,
    metavar="SHARES",
    help="Split into train,test or train,val,test by these shares: 0.9 or 0.8,0.1,0.1.",
)
@click.option(
    "--stratify",
    is_flag=True,
    help="Split every class by these shares, rounded so that as few as possible lack a training image.",
)
@click.option("--flat", is_flag=True, help="List only the files directly in ROOT, all with label 0.")
@click.option(
    "--exts",
    default=",".join(DEFAULT_EXTENSIONS),
    show_default=True,
    help="Suffixes of the files to list, in upper or lower case.",
)
@click.option("--classes", type=PATH, help="Take the label of each class from this .classes.txt.")
@click.option(
    "--chunks",
    type=int,
    default=1,
    show_default=True,
    help="Number of chunks to divide the images into, each with its own lists.",
)
@common_options(writes=True)
def command(
    console: Console, root: Path, prefix: Path | None, exts: str, force: bool, dry_run: bool, **words: object
) -> ExitCode:
    """Write list files for a folder of images.

    Every folder below ROOT that holds images is a class. Writes PREFIX.lst, or with --split PREFIX_train.lst,
    PREFIX_test.lst and, of three shares, PREFIX_val.lst; PREFIX.classes.txt holds the folder of every label. Exit
    code 3: files or folders could not be listed.

    \b
    Example:
      im2rec make-list photos/ --shuffle --split 0.9
    """
    options = ListOptions(extensions=tuple(exts.split(",")), **words)  # type: ignore[arg-type]
    if not dry_run:
        repeat_by(outputs=list_names(find_stem(root, prefix), options))
    with console.progress("finding", "image", share=None) as progress:
        summary = make_list(root, prefix, options, force=force, dry_run=dry_run, progress=progress)
    console.warn(summary.problems + summary.warnings)
    console.result("make-list", summary, render(summary), next_command(summary))
    return exit_code(summary)


def exit_code(summary: ListSummary) -> ExitCode:
    """Return PROBLEMS (3) if files or folders could not be listed; those left out on purpose do not count."""
    return ExitCode.PROBLEMS if any(summary.left_out.get(reason) for reason in PROBLEMS) else ExitCode.DONE


def next_command(summary: ListSummary) -> list[str]:
    """Return the command that packs the first list with images."""
    first = next(name for name, count in summary.lists.items() if count)
    words = (first, summary.input, str(Path(first).with_suffix(".rec")))
    return ["im2rec", "pack", *map(path_word, words)]


def render(summary: ListSummary) -> str:
    """Return the summary as a table."""
    by_count = sorted(
        ((count, name) for name, count in summary.class_images.items() if count), key=lambda pair: pair[0]
    )
    extremes = [f"{name} ({count:,})" for count, name in (by_count[0], by_count[-1])]
    suffixes = counted_suffixes(summary.left_out_suffixes)
    left_out = [
        f"{count:,} {reason}" + (f": {suffixes}" if reason == OTHER_SUFFIX else "")
        for reason, count in summary.left_out.items()
    ]
    lists = [f"{name} ({count:,})" for name, count in summary.lists.items()]
    shown = [*lists[:4], f"and {len(lists) - 4} more"] if len(lists) > 5 else lists
    head = f"{summary.input}: {counted(summary.images, 'image')} in {counted(summary.classes, 'class', 'classes')}"
    rows = [
        ("smallest", extremes[0] if len(by_count) > 1 else ""),
        ("largest", extremes[1] if len(by_count) > 1 else ""),
        ("left out", "; ".join(left_out)),
        ("would write" if summary.dry_run else "written", ", ".join([*shown, summary.classes_file])),
    ]
    return table(head, rows)
