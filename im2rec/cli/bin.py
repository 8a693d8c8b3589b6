"""The group ``im2rec bin``: commands for verification files, which hold pairs of faces."""

from __future__ import annotations

import difflib
import importlib
import shlex

import click

# name -> module of the command, and the first line of its help; a module is imported when its command is run.
SUBCOMMANDS = {
    "list": ("im2rec.cli.bin_list", "Show what a verification file holds."),
    "make": ("im2rec.cli.bin_make", "Make a verification file from a list of pairs."),
    "extract": ("im2rec.cli.bin_extract", "Write the images of a verification file to a folder."),
    "verify": ("im2rec.cli.bin_verify", "Decode every image of a verification file, and check its pairs."),
}


class SubcommandGroup(click.Group):
    """Loads commands from :data:`SUBCOMMANDS`, and shows the help when it is called without any arguments."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command *cmd_name*; None if there is no such command."""
        if cmd_name not in SUBCOMMANDS:
            return None
        subcommand: click.Command = importlib.import_module(SUBCOMMANDS[cmd_name][0]).command
        return subcommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and its arguments. Fails with the nearest name if there is no such command."""
        name = args[0]
        if name not in SUBCOMMANDS and not name.startswith("-"):
            nearest = difflib.get_close_matches(name, SUBCOMMANDS, n=1, cutoff=0.4)
            if name.lower().endswith(".bin"):
                remedy = f"for a verification file: {shlex.join(['im2rec', 'bin', 'list', *args])}"
            else:
                remedy = f"did you mean {nearest[0]!r}?" if nearest else f"commands: {', '.join(SUBCOMMANDS)}"
            ctx.fail(f"no command {name!r}; {remedy}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in SUBCOMMANDS.items()])


@click.group("bin", cls=SubcommandGroup, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Read and write verification files: pairs of faces.

    These are the .bin files of InsightFace, such as lfw.bin and cfp_fp.bin: a pickle of encoded images, two for each
    pair, and of whether both show the same person. They are read without running anything that a pickle may name.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
