"""The command ``im2rec bin list``."""

from __future__ import annotations

from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, path_word, table, unbroken
from im2rec.cli.exit_codes import ExitCode
from im2rec.errors import counted, human_size
from im2rec.verification.listing import BinListing, FoldCount, list_bin

_MAX_SIZES = 4


@click.command("list", cls=HelpCommand)
@click.argument("file", metavar="FILE", type=PATH)
@click.option("--sheet", type=PATH, metavar="OUT.png", help="Draw 30 of the pairs, those of one person above.")
@common_options(writes=True)
def command(console: Console, file: Path, sheet: Path | None, force: bool, dry_run: bool) -> ExitCode:
    """Show what a verification file holds.

    Counts the pairs of FILE, those of one person and of two in each of the ten folds of published evaluation, images by
    kind and size, pairs that are there twice, and says how the file was written. Nothing runs that the pickle may name.
    Pairs are numbered from 0, as in im2rec.open_bin(FILE)[0].

    \b
    Examples:
      im2rec bin list lfw.bin
      im2rec bin list lfw.bin --sheet lfw.png
    """
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise click.UsageError(f"--sheet {sheet}: must end in .png, as it is a PNG")
    with console.progress("reading", "image") as progress:
        listing = list_bin(file, sheet=sheet, force=force, dry_run=dry_run, progress=progress)
    console.result("bin list", listing, render(listing), next_command(listing))
    return ExitCode.DONE


def next_command(listing: BinListing) -> list[str]:
    """Return the command that decodes all images and checks the pairs."""
    return ["im2rec", "bin", "verify", path_word(listing.input)]


def render(listing: BinListing) -> str:
    """Return the listing as a table."""
    share = f"{listing.same / listing.pairs:.1%} same"
    head = f"{listing.input}: {counted(listing.pairs, 'pair')}, {listing.same:,} same, {listing.different:,} different"
    different = (
        "all different" if listing.distinct_images == listing.images else f"{listing.distinct_images:,} different"
    )
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in listing.kinds.items())
    sizes = [unbroken(human_size(size)) for size in (listing.smallest, listing.median, listing.largest)]
    rows = [
        *_fold_rows(listing.folds),
        ("images", f"{listing.images:,}, {different}: {kinds}"),
        ("", f"{_sizes(listing)}; {sizes[0]} to {sizes[2]}, median {sizes[1]}"),
        ("doubles", _doubles(listing)),
        ("written", _written(listing)),
        ("would write" if listing.dry_run else "sheet", listing.sheet or ""),
    ]
    return table(f"{head} ({share})", rows)


def _fold_rows(folds: list[FoldCount]) -> list[tuple[str, str]]:
    if not all(fold.pairs for fold in folds):
        return [("folds", "fewer than ten pairs: published evaluation has no folds of them")]
    if len({(fold.same, fold.different) for fold in folds}) == 1:
        return [("folds", f"ten of {folds[0].pairs:,} pairs, {folds[0].same:,} of them same in each")]
    kinds = {"same": [fold.same for fold in folds], "different": [fold.different for fold in folds]}
    rows = [f"{name} {', '.join(f'{number:,}' for number in numbers)}" for name, numbers in kinds.items()]
    return [("folds", rows[0]), ("", rows[1])]


def _sizes(listing: BinListing) -> str:
    shown = list(listing.sizes.items())[:_MAX_SIZES]
    words = (
        ", ".join(f"{size} ({count:,})" for size, count in shown) if len(listing.sizes) > 1 else "".join(listing.sizes)
    )
    if rest := len(listing.sizes) - len(shown):
        words += f" and {counted(rest, 'more size')}"
    if listing.unreadable:
        first = listing.first_unreadable_image or 0
        are = counted(listing.unreadable, "header is", "headers are")
        words += f"{'; ' if words else ''}{are} not readable, first of image {first:,} (pair {first // 2:,})"
    return words


def _doubles(listing: BinListing) -> str:
    words = []
    if listing.with_itself:
        words.append(
            f"{counted(len(listing.with_itself), 'pair')} of an image and itself, first {listing.with_itself[0]:,}"
        )
    for agrees, how in ((True, "again"), (False, "again with the other answer")):
        found = [each for each in listing.repeated if each.agrees == agrees]
        if found:
            first = f"first {found[0].pair:,}, as {found[0].earlier:,}"
            words.append(f"{counted(len(found), 'pair')} {how}, {first}")
    return "; ".join(words)


def _written(listing: BinListing) -> str:
    written = listing.written_as
    words = [human_size(listing.bytes), f"protocol {written.protocol}", f"images as {' and '.join(written.images_as)}"]
    words.append(f"answers as {written.same_as}")
    words += [f"in a {written.container}"] if written.container != "tuple" else []
    words += [f"{counted(written.trailing, 'byte')} behind the pickle"] if written.trailing else []
    return ", ".join(words)
