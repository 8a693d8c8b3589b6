"""The group ``im2rec``: finds a command by its name, and imports it only when it is run.

``im2rec completion``, which needs no module of its own, is defined here.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import Any, TextIO

import click
from click.shell_completion import get_completion_class

from im2rec.cli.exit_codes import run

# name -> module of the command, and its first line of help: `im2rec --help` imports none of them.
COMMANDS = {
    "make-list": ("im2rec.cli.make_list", "A folder of images to list files."),
    "pack": ("im2rec.cli.pack", "A list to a .rec and its index."),
    "inspect": ("im2rec.cli.inspect", "What is in a .rec, and is it whole."),
    "iterate": ("im2rec.cli.iterate", "Run an iterator: dump or time its batches."),
    "bench": ("im2rec.cli.bench", "Where the time goes, stage by stage."),
    "extract": ("im2rec.cli.extract", "The images of a .rec out again."),
    "import": ("im2rec.cli.import_", "MNIST or CIFAR to .rec files."),
    "compile": ("im2rec.cli.compile", "The JPEG decoder, ahead of its first use."),
    "completion": ("im2rec.cli.group", "The shell code that completes im2rec's words."),
}


NAME = "im2rec"
COMPLETE = "_IM2REC_COMPLETE"


class LazyGroup(click.Group):
    """Commands from :data:`COMMANDS`; a first word that ends in ``.lst`` means ``pack``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command *cmd_name*; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and an unknown name is answered with the nearest known one."""
        name = args[0]
        if name not in COMMANDS and name.lower().endswith(".lst"):
            return "pack", self.get_command(ctx, "pack"), args
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
            ctx.fail(
                f"no command {name!r}; "
                + (f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(COMMANDS)}")
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in COMMANDS.items()])


# The version is read from the loaded package: no module imports its public names, and its metadata may be missing.
@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.import_module(NAME).__version__, message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Build, inspect and read MXNet-compatible RecordIO image datasets."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _invoke(words: list[str]) -> Any:
    if COMPLETE in os.environ:  # a shell asks what comes next
        return group.main(words, prog_name=NAME, complete_var=COMPLETE)  # answers, and exits
    # Not group.main(): it has exit codes of its own, for a closed pipe too.
    try:
        with group.make_context(NAME, list(words)) as context:
            return group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lives as long as the program


def main(words: list[str] | None = None) -> None:
    """Run the command line on *words* (default: those the program was started with) and exit with its code."""
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))  # None after `>&-`
    # Names that are no UTF-8 are shown with escapes instead of ending the program.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(_invoke, sys.argv[1:] if words is None else words))


SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """The shell code that completes im2rec's words.

    \b
    Example, for one session of bash:
      eval "$(im2rec completion bash)"
    """
    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(ctx.find_root().command, {}, NAME, COMPLETE).source())
