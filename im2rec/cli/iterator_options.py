"""Parameters and log messages of the iterator for the commands that run one: iterate and bench."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from im2rec.cli.console import Console, key_completion
from im2rec.cli.progress import print_to_stderr
from im2rec.errors import ParameterError
from im2rec.params import from_words, parameter_docs
from im2rec.pipeline.params import ImageRecordParams
from im2rec.runs.run import KINDS, IteratorKind, default_shape

DEFAULT_BATCH_SIZE = 100


def complete_words(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a word of REC [KEY=VALUE]... in a shell: to the keys of the iterator of --kind, else to a file."""
    kind = KINDS[ctx.params.get("kind") or "image"]
    is_first = not ctx.params.get(param.name or "")
    keys = [] if is_first and not incomplete else key_completion(kind.params)(ctx, param, incomplete)
    return [CompletionItem(key) for key in keys] or [CompletionItem(incomplete, type="file")]


def iterator_values(command: str, words: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters of ImageRecordIter from the *words* and *options* of *command*.

    The first word may be the path of the .rec. batch_size and data_shape are filled in if they are not given. Raises
    ParameterError for words that are wrong, InputError for a .rec that cannot be read.
    """
    keys, also = _split(words, options, "path_imgrec", hint="join several .rec to one word with ';'")
    given = _given_names(keys, also)
    if "path_imgrec" not in given:
        raise ParameterError("REC is missing", hint=f"im2rec {command} REC [KEY=VALUE]...")
    if "data_shape" not in given:
        # The words are parsed once without it, so that a wrong one is reported before any file is opened.
        params = from_words(ImageRecordParams, [*keys, "data_shape=3,1,1"], options=also)
        files = {name: getattr(params, name) for name in ("path_imgrec", "path_imgidx", "records")}
        also["data_shape"] = default_shape(files)
    return dataclasses.asdict(from_words(ImageRecordParams, keys, options=also))


def option_words(options: dict[str, Any]) -> list[str]:
    """Return the words of those *options* of iterate or bench that were given."""
    given = {f"--{name.replace('_', '-')}": str(value) for name, value in options.items() if value is not None}
    return [word for option in given.items() for word in option]


def other_values(kind: IteratorKind, words: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters of an iterator of *kind*, which reads other files than a .rec.

    The first word may be the path of its first file; batch_size is filled in if it is not given. Raises ParameterError.
    """
    keys, also = _split(words, options, kind.file, hint="one file, and all else as KEY=VALUE")
    names = {parameter.name for parameter in parameter_docs(kind.params)}
    if also.get("data_shape") is not None and "data_shape" not in names:
        raise ParameterError(f"--data-shape has no meaning for {kind.iterator.__name__}", hint="its file has a shape")
    return dataclasses.asdict(from_words(kind.params, keys, options=also))


def _split(
    words: tuple[str, ...], options: dict[str, Any], file: str, *, hint: str
) -> tuple[list[str], dict[str, Any]]:
    """Return the words that are KEY=VALUE, and the values by name that were given as options or as the first word.

    The parameter *file* takes the first word if that is a path. Raises ParameterError with *hint* for further paths.
    """
    keys = list(words)
    also = {"batch_size": options["batch_size"], "data_shape": options["data_shape"]}
    if keys and ("=" not in keys[0] or os.path.exists(keys[0])):  # noqa: PTH110 - False for a name that is too long
        also[file] = keys.pop(0)
    for word in keys:
        if "=" not in word and os.path.exists(word):  # noqa: PTH110 - as above
            raise ParameterError(f"{word!r} is not KEY=VALUE", hint=hint)
    if "batch_size" not in _given_names(keys, also):
        also["batch_size"] = DEFAULT_BATCH_SIZE
    return keys, also


def _given_names(keys: list[str], also: dict[str, Any]) -> set[str]:
    return {word.partition("=")[0] for word in keys} | {name for name, value in also.items() if value is not None}


@contextlib.contextmanager
def console_logging(console: Console) -> Iterator[None]:
    """Print the log messages of the iterator on stderr inside the block; with --quiet only warnings."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            prefix = "warning: " if record.levelno >= logging.WARNING else ""
            print_to_stderr(prefix + record.getMessage())

    logger, handler = logging.getLogger("im2rec"), Handler(logging.WARNING if console.quiet else logging.INFO)
    previous_level, previous_propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(previous_level)
        logger.propagate = previous_propagate
