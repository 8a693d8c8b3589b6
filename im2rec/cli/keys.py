"""KEY=VALUE words on the command line: how they complete, and how their table looks."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import click

from im2rec.cli.console import WIDTH
from im2rec.params import rows

_UNSHOWN = ("not set", "none", "required")  # defaults that are no value one could write


class HelpCommand(click.Command):
    """A command that shows its help when there is no word at all."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help instead of an error."""
        if not args and not ctx.resilient_parsing:  # which is a shell asking what could come next
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)


def completes(kind: type[Any]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What completes a word to the keys of *kind*, with their ``=``."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [f"{row.name}=" for row in rows(kind) if row.name.startswith(incomplete)]

    return complete


def keys_table(kind: type[Any], indent: int) -> list[str]:
    """The lines of the table of the keys of *kind*, 80 columns wide; what they do starts at column *indent*."""
    lines = []
    for row in rows(kind):
        key = f"  {row.name}={'' if row.default in _UNSHOWN else row.default}"
        text = textwrap.wrap(("Required. " if row.default == "required" else "") + row.doc, WIDTH - indent)
        if len(key) >= indent:  # on a line of its own
            lines.append(key)
            key = ""
        lines.append(key.ljust(indent) + text[0])
        lines += [" " * indent + more for more in text[1:]]
    return lines
