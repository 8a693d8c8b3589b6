"""The keys of ``--json``: each is a field of a dataclass, declared once with its meaning by :func:`described`.

The values, and the documentation of them in ``docs/json.md``, are derived from these declarations::

    @dataclass
    class Spread:
        smallest: int = described("Smallest of the numbers.")

    as_json(Spread(3))          # {"smallest": 3}
    keys_of(Spread)             # [Key("smallest", "integer", "Smallest of the numbers.", False, None)]
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, NamedTuple

SCHEMA = 2  # counts up when a key is removed or changes its type or meaning
Number = int | float  # a number that is printed without a decimal point where it is whole
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", int | float: "number"}

# Meanings of keys that several results have.
INPUT = "The input, as it was given."
RECORDS = "Records in the input."
IMAGES = "Images in the input."
WARNINGS = "Warnings, a sentence each."
FILES = "Files and folders that were written, or would be."
BYTES_OUT = "Size of the output in bytes."
SECONDS = "Wall time in seconds."
RATE = "Images per second; of `iterate` after the first batch, and null without a second one."
ENGINE = "Library that resizes and encodes; empty if none was needed."
JPEG_DECODER = "Library that decodes JPEGs; empty if none was needed."
KERNEL = "Name of the compiled JPEG decoder, or the reason why there is none."
PEAK_MEMORY = "Peak memory in bytes; null if unknown."
CLASSES_FILE = "Path of the file with the name of each class."
DRY_RUN = "Whether nothing was written, as `--dry-run` was given."


def described(meaning: str, default: Any = dataclasses.MISSING, *, factory: Any = dataclasses.MISSING) -> Any:
    """Declare a field of a result, and with it a key of ``--json``: *meaning* is a sentence for ``docs/json.md``.

    *default* and *factory* are those of :func:`dataclasses.field`.
    """
    metadata = {"meaning": meaning}
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Key(NamedTuple):
    """A key of an object: its name, its type in words, its meaning, and the dataclass of the objects that it holds."""

    name: str
    type_name: str
    meaning: str
    is_optional: bool
    holds: type[Any] | None


def keys_of(kind: type[Any]) -> list[Key]:
    """Return the keys of the objects that the dataclass *kind* is printed as. Raises KeyError for one without meaning.

    Optional keys are always present, and null where there is no value.
    """
    hints = typing.get_type_hints(kind)
    return [_key(field, hints[field.name]) for field in dataclasses.fields(kind)]


def _key(field: dataclasses.Field[Any], hint: Any) -> Key:
    is_optional = isinstance(hint, types.UnionType) and type(None) in typing.get_args(hint)
    if is_optional:
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        hint = members[0] if len(members) == 1 else int | float
    type_, holds = _type_in_words(hint)
    return Key(field.name, type_, field.metadata["meaning"], is_optional, holds)


def _type_in_words(hint: Any) -> tuple[str, type[Any] | None]:
    if dataclasses.is_dataclass(hint):
        return "object", typing.cast(type[Any], hint)
    if hint in _TYPES:
        return _TYPES[hint], None
    item, holds = _type_in_words(typing.get_args(hint)[-1])
    container = "list" if typing.get_origin(hint) is list else "object"
    noun, _, rest = item.partition(" ")
    return f"{container} of {noun}s {rest}".rstrip(), holds


def as_json(value: Any) -> Any:
    """Return *value* for JSON: dataclasses become objects; NaN and infinities, which JSON has no words for, null."""
    if dataclasses.is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def whole(value: float) -> Number:
    """Return *value* as an int if it is a whole number; -0.0 stays, as no int equals it to the bit."""
    is_whole = math.isfinite(value) and value == int(value) and str(value) != "-0.0"
    return int(value) if is_whole else value
