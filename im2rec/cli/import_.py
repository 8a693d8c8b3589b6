"""The command ``im2rec import``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from im2rec.cli.console import PATH, Console, HelpCommand, common_options, key_completion, keys_table, path_word, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.datasets.download import WAIT, FetchOptions, fetch_set, missing
from im2rec.datasets.importing import ImportSummary, Source, import_set
from im2rec.datasets.mnist import MnistPair
from im2rec.datasets.set_files import output_files
from im2rec.datasets.sets import (
    BINARY,
    CIFAR10,
    CIFAR100,
    MNIST,
    SETS,
    TEST,
    TRAIN,
    Cifar100Params,
    CifarParams,
    ImportParams,
    KnownSet,
)
from im2rec.errors import OutputError, ParameterError, counted, human_size
from im2rec.folders import VARIABLE, cache_folder
from im2rec.params import from_words, parameter_docs
from im2rec.progress import Progress

EXAMPLE = "im2rec import cifar10 data/cifar --download"
# The help lists the keys of Cifar100Params, which has those of the others too.
_PARAMS = {MNIST: ImportParams, CIFAR10: CifarParams, CIFAR100: Cifar100Params}
_KEYS_INDENT = 21


class ImportCommand(HelpCommand):
    """A command whose help ends with tables of the sets and of the keys, and an example; a SET alone shows it too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help and exit if *args* are empty or a SET."""
        return super().parse_args(ctx, [] if len(args) == 1 and args[0] in SETS else args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sets, the keys with their defaults, and the example."""
        formatter.write("\nSets:\n")
        for name, known in SETS.items():
            counts = " and ".join(f"{count:,}" for count in known.images.values())
            download = human_size(sum(file.size for file in known.files))
            formatter.write(f"  {name:<19}{known.title}: {counts} images; {download} to download.\n")
        formatter.write("\nKeys, with their defaults:\n" + "\n".join(keys_table(Cifar100Params, _KEYS_INDENT)) + "\n")
        formatter.write(f"\nExample:\n  {EXAMPLE}\n")


@click.command("import", cls=ImportCommand)
@click.argument("name", metavar="SET", type=click.Choice(list(SETS)))
@click.argument("out", metavar="OUT_DIR", type=PATH)
@click.argument("keys", metavar="[KEY=VALUE]...", nargs=-1, shell_complete=key_completion(Cifar100Params))
@click.option(
    "--from", "source", type=PATH, metavar="PLACE", help="Read the set from this folder, or from CIFAR's .tar.gz."
)
@click.option("--download", is_flag=True, help=f"Download the set to ${VARIABLE}, or to the user's cache.")
@click.option("--mirror", metavar="URL", help="Download from this address, to which file names are appended.")
@click.option("--images", type=PATH, metavar="FILE", help="mnist: the training images, .gz or not.")
@click.option("--labels", type=PATH, metavar="FILE", help="mnist: the training labels.")
@click.option("--test-images", type=PATH, metavar="FILE", help="mnist: the test images.")
@click.option("--test-labels", type=PATH, metavar="FILE", help="mnist: the test labels.")
@common_options(writes=True)
def command(
    console: Console,
    name: str,
    out: Path,
    keys: tuple[str, ...],
    source: Path | None,
    download: bool,
    mirror: str | None,
    force: bool,
    dry_run: bool,
    **files: Path | None,
) -> ExitCode:
    """Convert MNIST or CIFAR to .rec files.

    Writes the data set SET to the folder OUT_DIR: train.rec and test.rec with their indexes and lists, and the names of
    the classes; those of the stored labels are in train.classes.txt, where the other commands find them. The list of
    the training images of CIFAR-10 is image.lst, with four labels: the class, the batch file, the row in that file,
    and 0.
    """
    if "=" in str(out) and str(out).partition("=")[0] in {key.name for key in parameter_docs(Cifar100Params)}:
        raise click.UsageError(f"OUT_DIR is missing before {out}", click.get_current_context())
    params = from_words(_PARAMS[name], keys)
    repeat_by(outputs=output_files(name, out))
    pairs = _pairs(name, files)
    if (source is not None) + download + bool(pairs) != 1:
        file_options = ", --images and --labels" if name == MNIST else ""
        raise ParameterError(
            f"expected one of --from{file_options} or --download", hint=f"im2rec import {name} {out} --download"
        )
    if mirror is not None and not download:
        raise ParameterError("--mirror is for --download", hint="add --download")
    known = _set_to_fetch(name, params, download=download)
    options = FetchOptions(mirror)
    files_or_folder: Source | Callable[[], Source] = pairs or source
    to_fetch: list[str] = []
    if download:
        folder = _download_folder(name)
        to_fetch = [file.name for file in missing(known, folder)]
        fetched = folder if name == MNIST else folder / known.files[0].name
        files_or_folder = None if to_fetch else fetched
    with console.progress("importing", "image") as progress:
        if download and not dry_run:
            files_or_folder = _fetcher(known, options, folder, fetched, progress)
        summary = import_set(name, out, files_or_folder, params, force=force, dry_run=dry_run, progress=progress)
    summary.fetched = to_fetch
    console.warn(summary.warnings)
    console.result("import", summary, render(summary), next_command(summary))
    return ExitCode.DONE


def _download_folder(name: str) -> Path:
    """Return the folder for the files of the set *name*. Raises OutputError if there is no cache folder."""
    try:
        return cache_folder() / name
    except OutputError as error:
        error.hint = f"set {VARIABLE} to a folder for the download, or name files with --from"
        raise


def _fetcher(
    known: KnownSet, options: FetchOptions, folder: Path, fetched: Path, progress: Progress
) -> Callable[[], Path]:
    """Return a function that downloads *known* to *folder*, as far as it is not there, and returns *fetched*."""

    def fetch() -> Path:
        with _cache_named():
            fetch_set(known, folder, options, progress=progress)
        return fetched

    return fetch


@contextlib.contextmanager
def _cache_named() -> Iterator[None]:
    """Name the variable of the cache in an OutputError of the block, as nobody typed that folder."""
    try:
        yield
    except OutputError as error:
        if error.hint != WAIT:
            error.hint = f"set {VARIABLE} to a folder with room that you may write to"
        raise


def _set_to_fetch(name: str, params: ImportParams, *, download: bool) -> KnownSet:
    """Return the set *name* with the files of the version in *params*. Raises ParameterError for one not offered."""
    known = SETS[name]
    if getattr(params, "version", None) != BINARY:
        return known
    if not download:
        raise ParameterError("version=binary is for --download", hint="--from reads either version")
    if not known.binary:
        hint = "download version=python, or read the binary files with --from"
        raise ParameterError(f"version=binary: only the Python version of {known.title} can be downloaded", hint=hint)
    return known._replace(files=known.binary)


def _pairs(name: str, files: Mapping[str, Path | None]) -> dict[str, MnistPair]:
    """Return the files of MNIST that options name one by one, by split. Raises ParameterError if any is missing."""
    pairs = {}
    for split, prefix in ((TRAIN, ""), (TEST, "test_")):
        images, labels = files[f"{prefix}images"], files[f"{prefix}labels"]
        given = [f"--{prefix}{what}".replace("_", "-") for what in ("images", "labels")]
        if images is None and labels is None:
            continue
        if name != MNIST:
            raise ParameterError(f"{given[0]} and {given[1]} are for mnist", hint="give --from or --download")
        if images is None or labels is None:
            raise ParameterError(f"{given[0]} and {given[1]} go together", hint="give both")
        pairs[split] = MnistPair(images, labels)
    if TEST in pairs and TRAIN not in pairs:
        raise ParameterError("--test-images needs --images and --labels", hint="give all four")
    return pairs


def next_command(summary: ImportSummary) -> list[str]:
    """Return the command that inspects the first of the files."""
    return ["im2rec", "inspect", path_word(summary.files[0])]


def render(summary: ImportSummary) -> str:
    """Return the summary as a table."""
    verb = "would import" if summary.dry_run else "imported"
    head = f"{verb} {counted(summary.images, 'image')} of {summary.title}"
    names = [Path(file).name for file in summary.files]
    table_rows = [
        ("from", f"{summary.input}, {summary.version}" if summary.input else ""),
        ("would fetch" if summary.dry_run else "fetched", ", ".join(summary.fetched)),
        ("images", ", ".join(f"{count:,} {split}" for split, count in summary.splits.items())),
        ("classes", f"{summary.classes:,}" if summary.classes else ""),
        ("stored as", f"{summary.encoding}, engine {summary.engine}" if summary.engine else summary.encoding),
        ("bytes", human_size(summary.bytes_out) if summary.bytes_out else ""),
        ("time", "" if summary.dry_run else f"{summary.seconds:.1f} s, {summary.images_per_s:,.0f} images/s"),
        ("would write" if summary.dry_run else "written", f"{summary.out}{os.sep}: {', '.join(names)}"),
    ]
    return table(head, table_rows)
