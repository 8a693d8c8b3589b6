"""Errors of click in our own form: the problem in lower case, and the words to write instead."""

from __future__ import annotations

import re

import click

# Options of MXNet's im2rec.py, typed from habit, and what to write here; keys of pack are written KEY=VALUE.
_IM2REC_PY_OPTIONS = {
    "pack": {
        f"--{key.replace('_', '-')}": f"write {key}=VALUE after OUT"
        for key in (
            "resize",
            "center_crop",
            "quality",
            "color",
            "encoding",
            "inter_method",
            "pack_label",
            "label_width",
        )
    }
    | {"--pass-through": "write unchanged=1 after OUT", "--num-thread": "write --workers N"},
    "make-list": {
        "--train-ratio": "write --split TRAIN,TEST",
        "--test-ratio": "write --split TRAIN,TEST",
        "--recursive": "folders are walked unless --flat is given",
        "--no-shuffle": "lists are shuffled only with --shuffle",
        "--list": "write im2rec make-list ROOT --prefix PREFIX",
    },
}
# Names of types, which mean little to who is no programmer.
_PLAIN = {
    "is not a valid integer range": "is not a whole number",
    "is not a valid integer": "is not a whole number",
    "is not a valid float range": "is not a number",
    "is not a valid float": "is not a number",
}
_LOWER_BOUND = re.compile(r"is not in the range x>=(\d+)")


def usage_message(error: click.ClickException) -> tuple[str, str]:
    """Return the problem of *error*, one line in lower case, and as a hint the remedy, or the help that explains it."""
    context = getattr(error, "ctx", None)
    see_help = f"see '{context.command_path} --help'" if context is not None else ""
    if isinstance(error, click.NoSuchOption) and context is not None:
        return f"no such option {error.option_name}", _remedy(error, context) or see_help
    message = " ".join(error.format_message().split()).rstrip(".")
    for words, plain in _PLAIN.items():
        message = message.replace(words, plain)
    message = _LOWER_BOUND.sub(r"must be \1 or more", message)
    if message[1:2].islower():  # a sentence, not a name in capitals
        message = message[:1].lower() + message[1:]
    return message, see_help


def option_for_key(key: str, command: click.Command) -> str | None:
    """Return the option of *command* that a person means who writes *key* in KEY=VALUE; None if there is none."""
    option = f"--{key.replace('_', '-')}"
    return option if any(option in parameter.opts for parameter in command.params) else None


def _remedy(error: click.NoSuchOption, context: click.Context) -> str:
    """Return the words to write instead of an option that does not exist, or ``""``."""
    option, command = error.option_name, context.command
    if isinstance(command, click.Group):
        named = next((word for word in context.obj or () if word in command.list_commands(context)), None)
        if named is not None:
            return f"options stand after the command: {context.command_path} {named} ... {option}"
    key = option.lstrip("-").replace("-", "_")
    if _takes(context, key) and (command.name != "pack" or option not in _IM2REC_PY_OPTIONS["pack"]):
        return f"write {key}=VALUE at the end"
    for owner, remedies in _IM2REC_PY_OPTIONS.items():
        if option in remedies:
            is_here = isinstance(command, click.Group) or command.name == owner
            return remedies[option] if is_here else f"with im2rec {owner}, {remedies[option]}"
    return f"did you mean {error.possibilities[0]}?" if error.possibilities else ""


def _takes(context: click.Context, key: str) -> bool:
    """True if the command of *context* takes KEY=VALUE of this name: then it completes to that in a shell."""
    arguments = [parameter for parameter in context.command.params if isinstance(parameter, click.Argument)]
    items = [item for argument in arguments if argument.nargs < 0 for item in argument.shell_complete(context, key)]
    return f"{key}=" in {item.value for item in items}
