"""Parameter groups: each parameter's type, default, bounds and help text are declared once.

A group of parameters is a frozen dataclass whose fields are made with :func:`param`. The constructor, the conversion
from text (``"256"``, ``"True"``, ``"(3,28,28)"``), the checks and their messages, and the tables in ``--help`` and in
``docs/parameters.md`` are all derived from that declaration. ``check(self)`` in ``__post_init__`` converts and checks::

    @dataclass(frozen=True, kw_only=True)
    class BatchParams:
        batch_size: int = param(doc="Images in one batch.", low=1)

        def __post_init__(self) -> None:
            check(self)

    from_words(BatchParams, ["batch_size=8"])
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import os
import shlex
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from im2rec.errors import ParameterError
from im2rec.schema import described

T = TypeVar("T")

TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off")
NO_STREAMS = "standard input and output cannot be used here"  # the error for a path that is "-"
NAME_A_FILE = "name a file; ./- is one of that name"


def param(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
    unset: str = "not set",
    reference: str = "as the reference",
) -> Any:
    """Declare one parameter: the field of a dataclass that is checked by :func:`check`.

    A parameter without *default* is required. *low* and *high* are inclusive bounds, and *choices* lists all allowed
    values. *unset* is the text that None is read from and shown as. *doc* and *reference* are for the documentation:
    the help text, and how the parameter compares with MXNet's parameter of the same name.
    """
    metadata = {
        "doc": doc, "low": low, "high": high, "choices": choices, "unset": unset, "reference": reference
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class ParameterDoc:
    """One row of the documentation's table of parameters, all fields as text."""

    name: str = described("Name of the thing that the object is about.")
    type: str = described("Type of the value.")
    default: str = described("Value of a key that is not given.")
    allowed: str = described("Values that are allowed.")
    doc: str = described("Meaning of the key.")
    reference: str = described("Comparison with MXNet's parameter of the same name.")


def check(params: Any) -> None:
    """Convert every value of *params*, a dataclass instance, to its declared type in place, and check its bounds.

    To be called from ``__post_init__``. Raises ParameterError with the parameter, its value and the allowed values.
    """
    kinds = _kinds_of(type(params))
    for field in dataclasses.fields(params):
        value = _convert(field, getattr(params, field.name), kinds[field.name])
        _check_bounds(field, value)
        object.__setattr__(params, field.name, value)


def from_words(kind: type[T], words: Iterable[str], *, options: Mapping[str, Any] | None = None) -> T:
    """Build a parameter group of class *kind* from command-line arguments of the form KEY=VALUE.

    *options* holds values given by ``--name`` options; those that are None count as not given. Raises ParameterError
    for a word without ``=``, for an unknown key (its hint names the nearest known key), for a missing key, for a value
    that is not allowed or is ``-``, and for a key that is given twice with different values, by two words or a word and
    an option.
    """
    given: dict[str, Any] = {name: value for name, value in (options or {}).items() if value is not None}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ParameterError(f"{word!r} is not KEY=VALUE", hint=_usage_hint(kind, word))
        _check_known(kind, name)
        if name in given and _convert_named(kind, name, given[name]) != _convert_named(kind, name, value):
            raise ParameterError(f"{name} is given twice: {given[name]} and {value}", hint="give it once")
        given[name] = value
    for name, value in given.items():
        refuse_stream(name, value)
    return from_mapping(kind, given)


def refuse_stream(name: str, value: Any) -> None:
    """Raise ParameterError if *value*, typed for *name*, is ``-``, which many programs take for standard input."""
    if value == "-":
        raise ParameterError(f"{name}=-: {NO_STREAMS}", hint=NAME_A_FILE)


def from_mapping(kind: type[T], values: Mapping[str, Any]) -> T:
    """Build a parameter group of class *kind* from *values* by name, as text or of the declared types.

    Raises ParameterError for unknown and missing names, and for values that are not allowed.
    """
    for name in values:
        _check_known(kind, name)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in values:
            raise ParameterError(f"{field.name} is missing", hint=str(field.metadata["doc"]))
    return kind(**values)


def changed(params: Any, names: Iterable[str]) -> list[str]:
    """Return those of *names* whose value in *params* differs from the default, in the order of *names*."""
    defaults = {field.name: field.default for field in dataclasses.fields(params)}
    return [name for name in names if getattr(params, name) != defaults[name]]


def typed_words(params: Any, *, without: Sequence[str] = ()) -> list[str]:
    """Return the values of *params* that differ from their defaults as words KEY=VALUE, as a shell would be given them.

    Those that have no default are among them. *without* names parameters to leave out.
    """
    return [
        shlex.quote(f"{field.name}={_value_text(value)}")
        for field in dataclasses.fields(params)
        if field.name not in without and (value := getattr(params, field.name)) != field.default
    ]


def _value_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
    return "none" if value is None else str(int(value) if isinstance(value, bool) else value)


def parameter_docs(kind: type[Any]) -> list[ParameterDoc]:
    """Return the documentation of each parameter of class *kind*, in order of declaration."""
    kinds = _kinds_of(kind)
    return [
        ParameterDoc(
            field.name,
            _type_name(kinds[field.name]),
            "required" if field.default is dataclasses.MISSING else _default_text(field),
            _allowed_text(field),
            field.metadata["doc"],
            field.metadata["reference"],
        )
        for field in dataclasses.fields(kind)
    ]


def _convert_named(kind: type[Any], name: str, value: Any) -> Any:
    (field,) = [field for field in dataclasses.fields(kind) if field.name == name]
    return _convert(field, value, _kinds_of(kind)[name])


_KINDS: dict[Any, dict[str, Any]] = {}


def _kinds_of(kind: type[Any]) -> dict[str, Any]:
    """Return the declared type of each parameter of class *kind*; Python takes 3 ms to find those of sixty."""
    if kind not in _KINDS:
        _KINDS[kind] = typing.get_type_hints(kind)
    return _KINDS[kind]


def _check_known(kind: type[Any], name: str) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    error = ParameterError(f"unknown key {name!r}", hint=f"the nearest known key is {near[0]!r}")
    error.unknown = name
    raise error


def _usage_hint(kind: type[Any], word: str) -> str:
    known = [field.name for field in dataclasses.fields(kind)]
    near = difflib.get_close_matches(word, known, n=1)
    return f"write {near[0]}=VALUE" if near else f"write KEY=VALUE, as in {known[0]}=VALUE"


def _convert(field: dataclasses.Field[Any], value: Any, kind: Any) -> Any:
    """Return *value* as the declared type *kind*; text is parsed as MXNet's parameter parser does."""
    text = value.strip() if isinstance(value, str) else value
    word = value.strip().lower() if isinstance(value, str) else value
    unset = _is_optional(kind) and word == field.metadata["unset"]
    if _is_optional(kind) and word in (None, "none"):
        return None
    kind = _without_none(kind)
    try:
        converted = _READERS[typing.get_origin(kind) or kind](text)
        # If the word for None is also one of the choices, it is kept as text, so that the value counts as given.
        return None if unset and kind is str and converted not in (field.metadata["choices"] or ()) else converted
    except (TypeError, ValueError, OverflowError):
        if unset:
            return None
        choices = field.metadata["choices"] is not None
        allowed = _allowed_text(field) if choices else _type_name(kind)
        hint = str(field.metadata["doc"]) if choices or kind is str else ""  # "text" alone does not say which
        raise ParameterError(f"{field.name}={value} must be {allowed}", hint=hint) from None


def _is_optional(kind: Any) -> bool:
    return isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union


def _without_none(kind: Any) -> Any:
    if not _is_optional(kind):
        return kind
    (kind,) = [member for member in typing.get_args(kind) if member is not type(None)]
    return kind


def _read_int(value: Any) -> int:
    if isinstance(value, (str, numbers.Integral)) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise TypeError


def _read_float(value: Any) -> float:
    if isinstance(value, (str, numbers.Real)):
        return float(value)
    raise TypeError


def _read_bool(value: Any) -> bool:
    word = str(value).lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError


def _read_str(value: Any) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise TypeError
    return value


def _read_tuple(value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        value = [part for part in value.strip("()[] ").split(",") if part.strip()]
    elif isinstance(value, numbers.Integral):  # a shape of one dimension, as the text "5" is
        value = (value,)
    return tuple(_read_int(part) for part in value)


_READERS: dict[Any, Any] = {int: _read_int, float: _read_float, bool: _read_bool, str: _read_str, tuple: _read_tuple}
_TYPE_NAMES = {int: "an integer", float: "a number", bool: "0 or 1", str: "text", tuple: "integers joined by commas"}


def _type_name(kind: Any) -> str:
    kind = _without_none(kind)
    return _TYPE_NAMES[typing.get_origin(kind) or kind]


def _check_bounds(field: dataclasses.Field[Any], value: Any) -> None:
    if value is None:
        return
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    # Written so that NaN, which compares false with everything, is out of bounds.
    in_bounds = (low is None or value >= low) and (high is None or value <= high)
    if not in_bounds or (choices is not None and value not in choices):
        raise ParameterError(f"{field.name}={value} must be {_allowed_text(field)}", hint=str(field.metadata["doc"]))
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f"{field.name}={value} must be a number", hint=str(field.metadata["doc"]))


def _allowed_text(field: dataclasses.Field[Any]) -> str:
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    if choices is not None:
        *others, last = map(str, choices)
        return f"{', '.join(others)} or {last}" if others else last
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return f"{high} or less" if high is not None else ""


def _default_text(field: dataclasses.Field[Any]) -> str:
    default = field.default
    if isinstance(default, bool):
        return str(int(default))
    if default == ():
        return "none"
    return field.metadata["unset"] if default is None else str(default)
