"""The command ``im2rec completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from im2rec.cli.console import HelpCommand
from im2rec.cli.group import COMPLETE, NAME

SHELLS = ("bash", "zsh", "fish")
# Before the end of click's function for bash, which otherwise puts a blank between a key and its value: rand_crop= 1.
_END = "\n    return 0\n"
_NO_BLANK = "\n    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"


@click.command("completion", cls=HelpCommand)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the code that completes commands in a shell.

    It completes commands, options and the keys of KEY=VALUE. Put the line of the
    example into ~/.bashrc to have it in every session.

    \b
    Example, for bash:
      eval "$(im2rec completion bash)"
    """
    completion = get_completion_class(shell)
    assert completion is not None
    source = completion(ctx.find_root().command, {}, NAME, COMPLETE).source()
    click.echo(source.replace(_END, _NO_BLANK + _END) if shell == "bash" else source)
