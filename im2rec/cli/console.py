"""Console output and KEY=VALUE words of every command.

Results go to stdout, progress and warnings to stderr; tables are 80 columns wide.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from im2rec.params import parameter_docs

P = ParamSpec("P")
R = TypeVar("R")

# What cannot be read is told where it is opened, with the exit code for that; click would make it a wrong usage.
PATH: click.Path = click.Path(path_type=Path, readable=False)
SCHEMA = 1  # of the --json objects; counts up when a key goes or changes its meaning
WIDTH = 80
LINE_EVERY_S = 10.0
_OPTIONS = {
    "json": click.option("--json", "as_json", is_flag=True, help="Print one JSON object for scripts."),
    "quiet": click.option("-q", "--quiet", is_flag=True, help="No progress."),
    "debug": click.option("--debug", is_flag=True, help="A traceback with every error."),
}
_WRITING = {
    "force": click.option("--force", is_flag=True, help="Replace existing files."),
    "dry_run": click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing."),
}


@dataclasses.dataclass(frozen=True)
class Console:
    """The common options of one run, and what they decide."""

    as_json: bool = False
    quiet: bool = False

    def result(self, command: str, data: Any, text: str) -> None:
        """Print the result: *data* (a dataclass or a dict) as JSON, or *text*."""
        if self.as_json:
            text = json.dumps({"schema": SCHEMA, "command": command, **_plain(data)})
        click.echo(text)

    def warn(self, lines: list[str]) -> None:
        """One line each, on stderr."""
        for line in lines:
            note(f"warning: {line}")

    def tell(self, line: str) -> None:
        """A line on stderr of what goes on; none when quiet."""
        if not self.quiet:
            note(line)

    @contextlib.contextmanager
    def progress(self, what: str, *, share: bool) -> Iterator[Callable[..., None]]:
        """A function to call with the count so far (and, with *share*, the share that is done).

        On a terminal a bar; elsewhere a line every ten seconds; nothing when quiet.
        """
        if self.quiet:
            yield lambda *_: None
        elif sys.stderr.isatty():
            with _bar(what, share=share) as update:
                yield update
        else:
            yield _ticker(what)


def _plain(value: Any) -> Any:
    """*value* as JSON can have it: a dataclass is an object, NaN and infinities are the words ``nan`` and ``inf``."""
    if dataclasses.is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def note(line: str) -> None:
    """A line on stderr; when nobody reads it any more, the work goes on all the same."""
    with contextlib.suppress(OSError):
        click.echo(line, err=True)


def common_options(*, writes: bool) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Add the options every command has; those that write get ``--force`` and ``--dry-run`` too.

    The function is called with a :class:`Console` first; ``force`` and ``dry_run`` stay keywords.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def wrapped(*, as_json: bool, quiet: bool, debug: bool, **rest: Any) -> R:  # noqa: ARG001 - read where errors are
            return function(Console(as_json, quiet), **rest)

        for option in reversed([*(_WRITING.values() if writes else ()), *_OPTIONS.values()]):
            wrapped = option(wrapped)
        return wrapped

    return decorate


@contextlib.contextmanager
def _bar(what: str, *, share: bool) -> Iterator[Callable[..., None]]:
    layout = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]" if share else "{desc}: [{elapsed}]"
    from tqdm import tqdm  # noqa: PLC0415 - 20 ms that only a terminal needs

    with tqdm(total=1.0 if share else None, desc=what, bar_format=layout, ncols=WIDTH, leave=False) as bar:

        def update(count: int, done: float = 0.0) -> None:
            bar.set_description_str(f"{what}: {count:,}", refresh=False)
            bar.update(done - bar.n)

        yield update


def _ticker(what: str) -> Callable[..., None]:
    due = time.monotonic() + LINE_EVERY_S

    def update(count: int, done: float | None = None) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + LINE_EVERY_S
            note(f"{what}: {count:,}" + (f" ({done:.0%})" if done is not None else ""))

    return update


def table(head: str, parameter_docs: list[tuple[str, str]], next_command: list[str] | None = None) -> str:
    """A headline, rows of name and value in two columns, and the command to type next; 80 columns wide.

    Rows without a value are left out; long values go on in the second column. Commands are never broken.
    """
    width = max((len(name) for name, value in parameter_docs if value), default=0) + 4
    lines = textwrap.wrap(head, WIDTH, break_long_words=False, break_on_hyphens=False)
    for name, value in parameter_docs:
        if value:  # a row without a name goes on with the one above it
            wrapped = textwrap.wrap(value, WIDTH - width, break_long_words=False, break_on_hyphens=False)
            lines += [f"  {name}".ljust(width) + wrapped[0], *(" " * width + rest for rest in wrapped[1:])]
    if next_command:
        lines.append(f"next: {shlex.join(next_command)}")
    return "\n".join(lines)


def size(bytes_: float) -> str:
    """*bytes_* the way a person says it."""
    if bytes_ < 1000:
        return f"{bytes_:.0f} B"
    for unit in ("kB", "MB", "GB"):
        bytes_ /= 1000
        if bytes_ < 999.5:
            return f"{bytes_:.3g} {unit}"
    terabytes = bytes_ / 1000
    return f"{terabytes:.3g} TB" if terabytes < 999.5 else f"{terabytes:,.0f} TB"


def counted(number: int, what: str, many: str = "") -> str:
    """*number* with its noun: ``1 image``, ``1,234 images``."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


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
        return [f"{row.name}=" for row in parameter_docs(kind) if row.name.startswith(incomplete)]

    return complete


def keys_table(kind: type[Any], indent: int) -> list[str]:
    """The lines of the table of the keys of *kind*, 80 columns wide; what they do starts at column *indent*."""
    lines = []
    for row in parameter_docs(kind):
        key = f"  {row.name}={'' if row.default in _UNSHOWN else row.default}"
        text = textwrap.wrap(("Required. " if row.default == "required" else "") + row.doc, WIDTH - indent)
        if len(key) >= indent:  # on a line of its own
            lines.append(key)
            key = ""
        lines.append(key.ljust(indent) + text[0])
        lines += [" " * indent + more for more in text[1:]]
    return lines
