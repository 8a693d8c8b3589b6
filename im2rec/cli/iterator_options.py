"""What the commands that run an iterator have in common: their words, and what the iterator logs."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator
from typing import Any

from im2rec.cli.console import Console, note
from im2rec.errors import ParameterError
from im2rec.params import from_words, parameter_docs
from im2rec.pipeline.params import ImageRecordParams
from im2rec.runs.run import IteratorKind, default_shape

DEFAULT_BATCH_SIZE = 100


def iterator_values(command: str, words: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The parameters of ImageRecordIter out of the words and options of *command*; what is not given is filled in."""
    keys, also = _split(words, options, "path_imgrec", several="join several .rec to one word with ';'")
    given = _names(keys, also)
    if "path_imgrec" not in given:
        raise ParameterError("REC is missing", hint=f"im2rec {command} REC [KEY=VALUE]...")
    if "data_shape" not in given:
        # The words are read once without it, so that a wrong one is told before any file is opened.
        read = from_words(ImageRecordParams, [*keys, "data_shape=3,1,1"], also=also)
        chosen = {name: getattr(read, name) for name in ("path_imgrec", "path_imgidx", "records")}
        also["data_shape"] = default_shape(chosen)
    return dataclasses.asdict(from_words(ImageRecordParams, keys, also=also))


def other_values(kind: IteratorKind, words: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """As :func:`iterator_values`, for iterators over other files, of which the first word may name the first."""
    keys, also = _split(words, options, kind.file, several="one file, and all else as KEY=VALUE")
    known = {row.name for row in parameter_docs(kind.params)}
    if also.get("data_shape") is not None and "data_shape" not in known:
        raise ParameterError(f"--data-shape has no meaning for {kind.iterator.__name__}", hint="its file has a shape")
    return dataclasses.asdict(from_words(kind.params, keys, also=also))


def _split(
    words: tuple[str, ...], options: dict[str, Any], file: str, *, several: str
) -> tuple[list[str], dict[str, Any]]:
    """The words that are KEY=VALUE, and the values that came as options, or as the first word."""
    keys = list(words)
    also = {"batch_size": options["batch_size"], "data_shape": options["data_shape"]}
    if keys and ("=" not in keys[0] or os.path.exists(keys[0])):  # noqa: PTH110 - False for a name that is too long
        also[file] = keys.pop(0)
    for word in keys:
        if "=" not in word and os.path.exists(word):  # noqa: PTH110 - as above
            raise ParameterError(f"{word!r} is not KEY=VALUE", hint=several)
    if "batch_size" not in _names(keys, also):
        also["batch_size"] = DEFAULT_BATCH_SIZE
    return keys, also


def _names(keys: list[str], also: dict[str, Any]) -> set[str]:
    """What is given at all."""
    return {word.partition("=")[0] for word in keys} | {name for name, value in also.items() if value is not None}


@contextlib.contextmanager
def console_logging(console: Console) -> Iterator[None]:
    """Show what the iterator logs: warnings always, more unless --quiet."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            prefix = "warning: " if record.levelno >= logging.WARNING else ""
            note(prefix + record.getMessage())

    logger, handler = logging.getLogger("im2rec"), Handler(logging.WARNING if console.quiet else logging.INFO)
    before, passed_on = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = passed_on
