"""The command group ``im2rec``: imports the module of a command only when the command is run."""

from __future__ import annotations

import difflib
import importlib
import os
import shlex
import sys
from typing import Any

import click

from im2rec.cli.exit_codes import run
from im2rec.cli.streams import prepare_streams

# name -> module of the command, and the first line of its help: `im2rec --help` imports none of the modules.
COMMANDS = {
    "make-list": ("im2rec.cli.make_list", "Write list files for a folder of images."),
    "pack": ("im2rec.cli.pack", "Pack the images of a list into a .rec and its index."),
    "join": ("im2rec.cli.join", "Join the parts of one pack into one .rec and its index."),
    "merge": ("im2rec.cli.merge", "Merge sets of images into one .rec and its index."),
    "inspect": ("im2rec.cli.inspect", "Summarise a .rec and check that it is whole."),
    "iterate": ("im2rec.cli.iterate", "Run an iterator: dump or time its batches."),
    "bench": ("im2rec.cli.bench", "Time every stage and find what limits the speed."),
    "extract": ("im2rec.cli.extract", "Write the images of a .rec to files or tar shards."),
    "select": ("im2rec.cli.select", "Write some records of a .rec to a new one."),
    "recover": ("im2rec.cli.recover", "Copy all that is whole in a damaged .rec to a new one."),
    "index": ("im2rec.cli.index", "Write the index of a .rec anew."),
    "import": ("im2rec.cli.import_", "Convert MNIST or CIFAR to .rec files."),
    "bin": ("im2rec.cli.bin", "Read and write verification files: pairs of faces."),
    "digest": ("im2rec.cli.digest", "Write the hashes by which damage to a .rec is found."),
    "compile": ("im2rec.cli.compile", "Compile the JPEG decoder ahead of its first use."),
    "cache": ("im2rec.cli.cache", "List what is kept between runs, or remove it."),
    "completion": ("im2rec.cli.completion", "Print the code that completes commands in a shell."),
}


NAME = "im2rec"
_LIST_SUFFIXES = (".txt", ".tsv", ".csv", ".list")  # that lists have instead of .lst
COMPLETE = "_IM2REC_COMPLETE"


class LazyGroup(click.Group):
    """Loads commands from :data:`COMMANDS`; a first argument that ends in ``.lst`` means ``pack``.

    Source: MXNet's manual, whose C++ tool is called as ``im2rec image.lst image_root_dir output.bin``.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a user needs them, which is not that of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command *cmd_name*; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and its arguments. Fails with the nearest name if there is no such command."""
        name = args[0]
        if name not in COMMANDS and name.lower().endswith(".lst"):
            return "pack", self.get_command(ctx, "pack"), args
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"no command {name!r}; {_remedy(args)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in COMMANDS.items()])


def _remedy(words: list[str]) -> str:
    """Return in words the command that *words*, which do not begin with one, probably mean."""
    name = words[0]
    if name in ("help", "version"):
        return f"write {shlex.join([NAME, *(word for word in words[1:2] if word in COMMANDS), f'--{name}'])}"
    # The functions of os.path return False for a name that no file can have. im2rec.py takes a prefix where there is a
    # list here, and makes the list with --list.
    root = next((word for word in words[1:] if os.path.isdir(word)), "ROOT")  # noqa: PTH112
    if "--list" in words:
        what, meant = "a folder of images", ["make-list", root, "--prefix", name]
    elif os.path.isfile(f"{name}.lst"):  # noqa: PTH113
        what, meant = "a list", ["pack", f"{name}.lst", root, f"{name}.rec"]
    elif os.path.isdir(name):  # noqa: PTH112
        what, meant = "a folder of images", ["make-list", name]
    elif name.lower().endswith(".rec"):
        what, meant = "a .rec", ["inspect", name]
    elif name.lower().endswith(".bin"):
        what, meant = "a verification file", ["bin", "list", name]
    elif os.path.isfile(name) or name.lower().endswith(_LIST_SUFFIXES):  # noqa: PTH113
        what, meant = "a list", ["pack", *words]
    else:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
        return f"did you mean {nearest[0]!r}?" if nearest else f"commands: {', '.join(COMMANDS)}"
    return f"for {what}: {shlex.join([NAME, *meant])}"


# The version comes from the package itself, as its metadata may be missing or those of an old install; imported by
# name, as no module imports from im2rec/__init__.py.
@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.import_module(NAME).__version__, message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Build, inspect and read MXNet-compatible RecordIO image datasets."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _invoke(words: list[str]) -> Any:
    if COMPLETE in os.environ:  # a shell asks how a word can be completed
        return group.main(words, prog_name=NAME, complete_var=COMPLETE)  # prints the answer and exits
    # group.main() would use click's exit codes, for a closed pipe too.
    try:
        with group.make_context(NAME, list(words), obj=words) as context:
            return group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code


def main(words: list[str] | None = None) -> None:
    """Run the command line on *words*, by default the arguments of the program, and exit with its code."""
    prepare_streams()
    sys.exit(run(_invoke, sys.argv[1:] if words is None else words))
