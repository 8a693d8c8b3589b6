"""The parts that all commands share: common options, output, and the help on KEY=VALUE parameters.

Results go to stdout, progress and warnings to stderr; tables are 80 columns wide.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from im2rec.cli.exit_codes import MEANINGS
from im2rec.cli.interrupts import note_work_done, raise_if_lost
from im2rec.cli.progress import Display, print_to_stderr, shown_progress
from im2rec.cli.streams import print_result
from im2rec.cli.usage import option_for_key
from im2rec.errors import ParameterError
from im2rec.params import NAME_A_FILE, NO_STREAMS, parameter_docs
from im2rec.progress import Phase
from im2rec.schema import SCHEMA, as_json

P = ParamSpec("P")
R = TypeVar("R")

NO_PATH = "a path cannot be empty, as from a variable that is not set; '.' is the current folder"


class NamedPath(click.Path):
    """The path of a file or folder, as a Path; ``-`` is refused, which many programs take for their input or output."""

    def __init__(self) -> None:
        # click would report a path that is not readable as wrong usage (2); opening the file reports BAD_INPUT.
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return *value* as a Path. Raises BadParameter for ``-`` and for no text."""
        if value == "":  # the current folder, to Path
            self.fail(NO_PATH, param, ctx)
        if value == "-":
            self.fail(f"'-': {NO_STREAMS}; {NAME_A_FILE}", param, ctx)
        return super().convert(value, param, ctx)


PATH = NamedPath()
WIDTH = 80
_OF_PATHS = ("written", "would write")  # rows whose values are paths, joined by commas
_KEPT_BLANK = "\0"  # in place of a blank at which no line is broken
# Without that, and without what is wrapped; with the characters by which a name could turn what follows it around.
_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ONLY_WARNINGS = 2  # -q twice
_DRY_RUN = "--dry-run"
_OPTIONS = {
    "json": click.option("--json", "as_json", is_flag=True, help="Print one JSON object for scripts."),
    "quiet": click.option(
        "-q", "--quiet", count=True, help="Show no progress and no next command; -qq: only warnings and errors."
    ),
    "debug": click.option("--debug", is_flag=True, help="Show a traceback with every error, and what libraries print."),
}
dry_run_option = click.option(_DRY_RUN, is_flag=True, help="Show what would be done, and write nothing.")
_WRITING = {"force": click.option("--force", is_flag=True, help="Replace existing files."), "dry_run": dry_run_option}


@dataclasses.dataclass(frozen=True)
class Console:
    """Prints the result, the warnings and the progress of one run, as its common options say.

    *quiet* is the number of ``-q``: with one there is no progress and no next command, with two no result either.
    *words* are those after ``im2rec`` on the command line.
    """

    as_json: bool = False
    quiet: int = 0
    words: tuple[str, ...] = ()

    def result(self, command: str, data: Any, text: str, next_words: list[str] | None = None) -> None:
        """Print *text*, and as the command to type next *next_words*, after a dry run the same command without it.

        With ``--json`` one object with *data*, a dataclass, is printed instead.
        """
        note_work_done()
        raise_if_lost()
        if getattr(data, "dry_run", False):
            next_words = ["im2rec", *(word for word in self.words if word != _DRY_RUN)]
        if self.as_json:
            text = json.dumps({"schema": SCHEMA, "command": command, **as_json(data)}, allow_nan=False)
        elif self.quiet >= _ONLY_WARNINGS:
            return
        elif next_words and not self.quiet:
            text += f"\nnext: {shlex.join(next_words)}"
        print_result(text)

    def warn(self, lines: list[str]) -> None:
        """Print each of *lines* as a warning on stderr, with ``--quiet`` too."""
        for line in lines:
            print_to_stderr(f"warning: {line}")

    def warn_without_result(self, code: Any) -> None:
        """Print the meaning of the exit code *code*, if ``-qq`` leaves out the result that explains it."""
        if self.quiet >= _ONLY_WARNINGS and not self.as_json and code in MEANINGS:
            self.warn([f"{MEANINGS[code]} (with one -q the result says more)"])

    def info(self, line: str) -> None:
        """Print *line* on stderr, unless ``--quiet``."""
        if not self.quiet:
            print_to_stderr(line)

    @contextlib.contextmanager
    def progress(self, what: str, unit: str, *, share: float | None = 0.0) -> Iterator[Display]:
        """Give the function by which work shows on stderr how far it is; with ``--quiet`` it shows nothing.

        *what*, *unit* and *share* are those of the first :class:`~im2rec.progress.Phase`. It raises a signal that a
        library has caught, so that the run ends all the same.
        """
        shown = contextlib.nullcontext(Display()) if self.quiet else shown_progress(Phase(what, unit, share=share))
        with shown as progress:
            yield progress


digest_option = click.option(
    "--digest", is_flag=True, help="Write OUT.digest too: SHA-256 of each 8 MiB, by which damage is found."
)


def common_options(*, writes: bool) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Add ``--json``, ``--quiet`` and ``--debug`` to a command, and if it *writes*, ``--force`` and ``--dry-run``.

    The command's function gets a :class:`Console` as its first argument, and ``force`` and ``dry_run`` as keywords.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def wrapped(*, as_json: bool, quiet: int, debug: bool, **rest: Any) -> R:  # noqa: ARG001 - read in exit_codes
            context = click.get_current_context()
            words = context.find_root().obj or ()
            try:
                code = function(console := Console(as_json, quiet, tuple(words)), **rest)
            except ParameterError as error:
                if error.unknown and (option := option_for_key(error.unknown, context.command)):
                    error.hint = f"it is an option: {option}"
                raise
            console.warn_without_result(code)
            return code

        for option in reversed([*(_WRITING.values() if writes else ()), *_OPTIONS.values()]):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def table(head: str, rows: list[tuple[str, str]]) -> str:
    """Return a headline and *rows* of name and value in two columns; 80 columns wide.

    Rows without a value are left out, and a row without a name continues the one above it. Long values are wrapped
    inside the second column. Paths are never broken, so that they can be copied; where rows hold nothing else, not even
    at a blank in them. Control characters, which texts of files and names may hold, are escaped: a terminal obeys them.
    """
    width = max((len(name) for name, value in rows if value), default=0) + 4
    lines = textwrap.wrap(head, WIDTH, break_long_words=False, break_on_hyphens=False)
    for name, value in rows:
        if value:
            text = re.sub("(?<!,) ", _KEPT_BLANK, value) if name in _OF_PATHS else value
            wrapped = textwrap.wrap(text, WIDTH - width, break_long_words=False, break_on_hyphens=False)
            lines += [f"  {name}".ljust(width) + wrapped[0], *(" " * width + line for line in wrapped[1:])]
    text = "\n".join(lines).replace(_KEPT_BLANK, " ")
    return _CONTROLS.sub(lambda control: repr(control[0])[1:-1], text)


def first_of(texts: list[str], most: int) -> list[str]:
    """Return the first *most* of *texts*, and after them how many more there are."""
    more = len(texts) - most
    return [*texts[:most], f"and {more:,} more (--json lists all)"] if more > 0 else texts


def listed(name: str, texts: list[str]) -> list[tuple[str, str]]:
    """Return rows of :func:`table` for *texts*, a row each, with *name* before the first."""
    return [(name if number == 0 else "", text) for number, text in enumerate(texts)]


def unbroken(text: str) -> str:
    """Return *text* for a value of :func:`table`, which then breaks no line inside it."""
    return text.replace(" ", _KEPT_BLANK)


def path_word(path: str) -> str:
    """Return *path* as a word for a command line, where a name that starts with ``-`` would be an option."""
    return f"./{path}" if path.startswith("-") else path


def inspect_words(rec: str, *, faces: bool) -> list[str]:
    """Return the command that inspects *rec*; of a face-recognition set by what its readers assume, too."""
    return ["im2rec", "inspect", path_word(rec), *(["--profile", "insightface"] if faces else [])]


_NOT_VALUES = ("not set", "none", "required")  # descriptions of a default that cannot be written after KEY=


class HelpCommand(click.Command):
    """A command that shows its help when it is called without any arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help and exit if *args* is empty."""
        if not args and not ctx.resilient_parsing:  # resilient: a shell completes words
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)


def key_completion(kind: type[Any]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a function for click that completes a word to the keys of the parameters *kind*, with their ``=``."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [f"{row.name}=" for row in parameter_docs(kind) if row.name.startswith(incomplete)]

    return complete


def keys_table(kind: type[Any], indent: int) -> list[str]:
    """Return the lines of a table of the keys of *kind*, 80 columns wide, with their text from column *indent* on."""
    lines = []
    for row in parameter_docs(kind):
        key = f"  {row.name}={'' if row.default in _NOT_VALUES else row.default}"
        text = textwrap.wrap(("Required. " if row.default == "required" else "") + row.doc, WIDTH - indent)
        if len(key) >= indent:  # too long: its text starts on the next line
            lines.append(key)
            key = ""
        lines.append(key.ljust(indent) + text[0])
        lines += [" " * indent + line for line in text[1:]]
    return lines
