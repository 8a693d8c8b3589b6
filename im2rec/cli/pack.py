"""The command ``im2rec pack``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from im2rec.cli.console import (
    PATH,
    Console,
    HelpCommand,
    common_options,
    digest_option,
    inspect_words,
    key_completion,
    keys_table,
    path_word,
    table,
)
from im2rec.cli.exit_codes import ExitCode
from im2rec.cli.interrupts import repeat_by
from im2rec.errors import counted, human_size
from im2rec.packing.params import KEPT_WITH_UNCHANGED, PackParams
from im2rec.params import from_words, parameter_docs

if TYPE_CHECKING:
    from im2rec.packing.face_report import FaceSummary
    from im2rec.packing.report import PackSummary

EXAMPLE = "im2rec pack photos_train.lst photos/ photos_train.rec resize=256"
FACES_EXAMPLE = "im2rec pack --profile insightface faces.lst faces/ train_set/"
_KEYS_INDENT = 21


class PackCommand(HelpCommand):
    """A command whose help ends with a table of its keys and an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the keys with their defaults, and the example."""
        keys = "\n".join(keys_table(PackParams, _KEYS_INDENT))
        formatter.write(f"\nKeys, with their defaults:\n{keys}\n")
        formatter.write(f"\nExample:\n  {EXAMPLE}\n  {FACES_EXAMPLE}\n")


@click.command("pack", cls=PackCommand)
@click.argument("list_path", metavar="LIST", type=PATH)
@click.argument("root", type=PATH)
@click.argument("out", type=PATH)
@click.argument("keys", metavar="[KEY=VALUE]...", nargs=-1, shell_complete=key_completion(PackParams))
@click.option("--workers", type=int, help="Number of processes [default: all CPUs]; it does not change the output.")
@click.option(
    "--on-error",
    type=click.Choice(["skip", "fail"]),
    default="skip",
    show_default=True,
    help="Leave a bad image out, or end the run.",
)
@click.option(
    "--max-bad",
    default="10%",
    show_default=True,
    metavar="N|P%",
    help="End the run when more images than this are bad; P% counts from 100 lines on, and 100% never ends it.",
)
@click.option(
    "--outside",
    type=click.Choice(["allow", "refuse"]),
    default="allow",
    show_default=True,
    help="Pack images that lie outside of ROOT (by absolute paths, '..' or links), or leave them out.",
)
@click.option(
    "--image-timeout",
    type=float,
    metavar="SECONDS",
    help="Leave an image out that a worker has been busy with for longer than this [default: no limit].",
)
@click.option("--verify", is_flag=True, help="With unchanged=1, decode every image to find those that are cut short.")
@digest_option
@click.option(
    "--profile",
    type=click.Choice(["insightface"]),
    help="Make a training folder for face recognition: OUT is the folder, and images are stored unchanged.",
)
@click.option("--no-header", is_flag=True, help="With --profile: images alone, their keys from 0.")
@click.option(
    "--unaligned-as-is",
    is_flag=True,
    help="With --profile: take images that a list of face2rec2 marks as not aligned as they are.",
)
@click.option("--restart", is_flag=True, help="Throw away what a pack that was cut short has left, and begin again.")
@click.option("--resume", is_flag=True, help="Go on with a pack that was cut short, or fail if there is none.")
@common_options(writes=True)
def command(
    console: Console,
    list_path: Path,
    root: Path,
    out: Path,
    keys: tuple[str, ...],
    profile: str | None,
    **options: object,
) -> ExitCode:
    """Pack the images of a list into a .rec and its index.

    LIST holds lines of id, label and path below the folder ROOT. Writes the records to OUT and the index beside it.
    Bad images are left out and reported in OUT.bad.jsonl. A pack that was cut short, by whatever, goes on when the same
    words are typed again. Exit code 3: images were left out.

    With --profile insightface, OUT is a folder: train.rec has the images of one identity after the other, whatever the
    order of the list, and train.idx, property and train.labels.tsv lie beside it.
    """
    for name, value in (("ROOT", root), ("OUT", out)):
        if "=" in str(value) and str(value).partition("=")[0] in {row.name for row in parameter_docs(PackParams)}:
            raise click.UsageError(f"{name} is missing before {value}", click.get_current_context())
    params = from_words(PackParams, keys)
    repeat_by(resumes=not options["dry_run"])
    header, unaligned_as_is = not options.pop("no_header"), bool(options.pop("unaligned_as_is"))
    if profile is None and (unaligned_as_is or not header):
        option = "--unaligned-as-is" if unaligned_as_is else "--no-header"
        raise click.UsageError(f"{option} belongs to --profile insightface", click.get_current_context())
    from im2rec.packing.pack import PackOptions, pack  # noqa: PLC0415 - it imports numpy, which the help does not need

    with console.progress("packing", "image") as progress:
        made = PackOptions(**options, isolated=True)  # type: ignore[arg-type]
        if profile is None:
            summary = pack(list_path, root, out, params, made, progress=progress)
        else:
            from im2rec.packing.face_pack import FaceOptions, pack_faces  # noqa: PLC0415 - as above

            faces = FaceOptions(header=header, unaligned_as_is=unaligned_as_is)
            params = dataclasses.replace(params, unchanged=True) if stores_files(keys) else params
            summary = pack_faces(list_path, root, out, params, made, faces, progress=progress)
    console.warn(summary.warnings)
    console.result("pack", summary, render(summary), next_command(summary, is_part=params.nsplit > 1))
    return exit_code(summary)


def stores_files(keys: Sequence[str]) -> bool:
    """True if *keys*, words as they were typed, say nothing of decoding and encoding, nor of ``unchanged`` itself."""
    return all(word.partition("=")[0] in {*KEPT_WITH_UNCHANGED} - {"unchanged"} for word in keys)


def exit_code(summary: PackSummary) -> ExitCode:
    """Return PROBLEMS (3) if images were left out."""
    return ExitCode.PROBLEMS if summary.bad else ExitCode.DONE


def next_command(summary: PackSummary, *, is_part: bool) -> list[str]:
    """Return the command that inspects the result, or joins it with the other parts.

    If images were left out, the one that shows the report of them.
    """
    rec = summary.files[0]
    if summary.report:
        return ["cat", path_word(summary.report)]
    if is_part:
        from im2rec.packing.part_set import pattern_of_parts  # noqa: PLC0415 - as in command()

        return ["im2rec", "join", path_word(pattern_of_parts(rec)), path_word(rec.rpartition(".")[0])]
    return inspect_words(rec, faces=summary.faces is not None)


def render(summary: PackSummary) -> str:
    """Return the summary as a table."""
    left_out = ""
    if summary.first_bad is not None:
        bad = summary.first_bad
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary.bad.items())
        report = f"; all in {summary.report}" if summary.report else ""
        left_out = f"{reasons}; first: line {bad.line}, {bad.path or bad.detail}{report}"
    outside = ""
    if summary.outside:
        what = f"{counted(summary.outside, 'path leads', 'paths lead')} out of ROOT"
        outside = f"{what}, line {summary.outside_line} first (--outside refuse omits them)"
    verb = "would pack" if summary.dry_run else "packed"
    engine = (
        f"engine {summary.engine}, JPEGs decoded by {summary.jpeg_decoder}" if summary.engine else "stored unchanged"
    )
    speed = f"{summary.seconds:.1f} s, {summary.images_per_s:,.0f} images/s, {counted(summary.workers, 'worker')}"
    went_on = f"after {counted(summary.resumed, 'image')} of an earlier run, at line {summary.resumed_line} of the list"
    faces = summary.faces
    table_rows = [
        ("identities", _identities(faces) if faces else ""),
        ("list", _list_form(faces) if faces else ""),
        ("went on", went_on if summary.resumed_line else ""),
        ("left out", left_out),
        ("outside", outside),
        ("noted", ", ".join(f"{count:,} {note}" for note, count in summary.notes.items())),
        ("bytes", _bytes(summary)),
        ("time", "" if summary.dry_run else speed),
        ("images", engine),
        ("kernel", "" if summary.kernel.startswith("none") else summary.kernel),  # a few images need no kernel
        ("would write" if summary.dry_run else "written", ", ".join(summary.files)),
    ]
    head = f"{verb} {counted(summary.images, 'image')} of {summary.input}"
    return table(head, table_rows)


def _identities(faces: FaceSummary) -> str:
    """Return in words how many identities and images for each a face-recognition set has."""
    text = f"{faces.identities:,}"
    if faces.images_least is not None and faces.images_least == faces.images_most:
        text += f", with {counted(faces.images_least, 'image')} each"
    elif faces.images_median is not None:
        text += f", with {faces.images_least:,} to {faces.images_most:,} images (median {faces.images_median:,g})"
    if faces.identities_left_out:
        more = counted(faces.identities_left_out, "more has", "more have")
        text += f"; {more} only bad images, and no class"
    size = f"; {faces.height} x {faces.width} pixels" if faces.height is not None else ""
    return text + size + ("" if faces.has_header else "; without header record")


def _list_form(faces: FaceSummary) -> str:
    return f"in the form of {faces.list_form}, " + (
        "brought into the order of its labels" if faces.reordered else "its order kept"
    )


def _bytes(summary: PackSummary) -> str:
    read = f"{human_size(summary.bytes_in)} in"
    return read if summary.dry_run else f"{read}, {human_size(summary.bytes_out)} out"
