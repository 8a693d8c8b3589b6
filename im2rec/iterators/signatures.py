"""Constructors that show their parameters: signature and help text from the dataclass that declares them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from im2rec.params import parameter_docs

Init = TypeVar("Init", bound=Callable[..., None])


def shows_parameters(kind: type[Any]) -> Callable[[Init], Init]:
    """Decorate an ``__init__`` that takes the parameters of the dataclass *kind* as ``**params``.

    ``inspect.signature()``, ``help()`` and the completion of IPython then list each parameter with its type and
    default, and the docstring of the ``__init__`` explains each. Type checkers and editors, which do not run the code,
    read the classes in :mod:`im2rec.iterators.keywords` instead.
    """

    def decorate(init: Init) -> Init:
        types = typing.get_type_hints(kind)
        # Set on the function, because a __signature__ of the class would also hide the __init__ of a subclass.
        vars(init)["__signature__"] = _signature(kind, types)
        # For typing.get_type_hints(): the written annotation names classes that are imported for type checkers only.
        init.__annotations__ = types
        init.__doc__ = _help_text(kind)
        return init

    return decorate


def _signature(kind: type[Any], types: dict[str, Any]) -> inspect.Signature:
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=types[field.name],
        )
        for field in dataclasses.fields(kind)
    ]
    return inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *parameters])


def _help_text(kind: type[Any]) -> str:
    lines = ["Open the files. Each value may be of its type or text: batch_size=100 or batch_size='100'.", ""]
    for row in parameter_docs(kind):
        default = row.default if row.default in ("", "required") else f"default {row.default}"
        lines += [f"{row.name}: {', '.join(filter(None, (row.type, row.allowed, default)))}", f"    {row.doc}"]
    return "\n".join(lines)
