"""``im2rec completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from im2rec.cli.group import COMPLETE, NAME

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
