"""Run random sequences of calls on MXNet's data modules, and print the results: by MXNet itself, or by im2rec.mx.

    python tests/mx/sequences.py --module mxnet --seeds 0:300 --out tests/golden/mx/sequences.txt

The results of MXNet 1.9.1 are recorded in that file, and ``test_mx_sequences.py`` compares those of im2rec.mx with
them. Needs numpy and the module, and nothing of im2rec, so that it runs in an environment that has MXNet.
"""

from __future__ import annotations

import argparse
import copy
import gc
import importlib
import operator
import pickle
import random
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from mx.sequence_arrays import array_scenes, image_scenes
from mx.sequence_packs import pack_scenes
from mx.sequence_records import record_scenes
from mx.sequence_story import Call, Folder, Name, Story, bytes_text, digest

# Errors that a script may catch by their class; of any other only that it is raised matters.
KINDS = (KeyError, IndexError, TypeError, ValueError, AttributeError)

MODULES = ("recordio", "image", "img", "nd", "ndarray")

SCENES = [*pack_scenes, *record_scenes, *image_scenes, *array_scenes]


def sequence(seed: int) -> list[Call]:
    """Return the calls of the sequence *seed*: the same for every module that runs them."""
    story = Story(random.Random(seed))
    for scene in story.some(SCENES, low=1, high=3):
        scene(story)
    return story.calls


# Results as text.


def described(value: Any) -> str:
    """Return *value* as a short text that is the same for equal values, whichever module made them."""
    if hasattr(value, "asnumpy"):
        return f"NDArray {pixels(value.asnumpy())}"
    if hasattr(value, "_asdict"):
        return f"({', '.join(f'{name}={described(item)}' for name, item in value._asdict().items())})"
    for kinds_of, text in TEXTS:
        if isinstance(value, kinds_of):
            return text(value)
    return type(value).__name__


def several(values: Iterable[Any]) -> str:
    return ", ".join(map(described, values))


def pairs(values: dict[Any, Any]) -> str:
    return "{" + ", ".join(f"{described(k)}: {described(v)}" for k, v in sorted(values.items(), key=str)) + "}"


def pixels(array: np.ndarray[Any, Any]) -> str:
    """Return dtype, shape and a digest of *array*; of at most six elements the values themselves."""
    values = repr(array.tolist()) if array.size <= 6 else digest(np.ascontiguousarray(array).tobytes())
    return f"{array.dtype} {'x'.join(map(str, array.shape))} {values}"


def kinds(error: Exception) -> str:
    """Return ``raises``, and those classes of KINDS that *error* is of."""
    return " ".join(["raises", *(kind.__name__ for kind in KINDS if isinstance(error, kind))])


TEXTS: list[tuple[Any, Callable[[Any], str]]] = [
    (np.ndarray, lambda value: f"array {pixels(value)}"),
    ((bytes, bytearray, memoryview), lambda value: bytes_text(bytes(value))),
    (np.generic, lambda value: f"{value.dtype} {value.item()!r}"),
    (tuple, lambda value: f"({several(value)})"),
    (list, lambda value: f"[{several(value)}]"),
    (dict, pairs),
    (Name, lambda value: f"{value.name}{list(value.items) if value.items else ''}"),
    (Folder, lambda value: str(value.file)),
    ((type(None), bool, int, float, str), repr),
]


# Calls that are not of the module.


def file_text(path: str) -> str:
    """Return size and digest of a file."""
    data = Path(path).read_bytes()
    return f"{len(data)} {digest(data)}"


def assigned(array: Any, key: Any, value: Any) -> Any:
    array[key] = value
    return array


def with_attribute(thing: Any, name: str, value: Any) -> Any:
    setattr(thing, name, value)
    return getattr(thing, name)


PYTHON: dict[str, Callable[..., Any]] = {
    "assigned": assigned,
    "attribute": getattr,
    "with_attribute": with_attribute,
    "item": operator.getitem,
    "operator": lambda name, left, right: getattr(operator, name)(left, right),
    "pickled": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deep_copy": copy.deepcopy,
    "write": lambda path, data: Path(path).write_bytes(data),
    "file": file_text,
    "seed": random.seed,
    "draw": random.random,
}


# Running.


class MissingError(Exception):
    """An earlier call did not make the value that is asked for."""


class Runner:
    """Runs the calls of one sequence on a module, in a folder of its own."""

    def __init__(self, module: str, folder: Path) -> None:
        self._module = module
        self._folder = folder
        self._named: dict[str, Any] = {}
        self.error: Exception | None = None

    def result(self, call: Call) -> str:
        """Run *call*, and return its result, or the kind of its error, as text."""
        first, _, rest = call.function.partition(".")
        self.error = None  # it would keep the values of its frames
        try:
            if call.function == "python.forget":
                self._named.pop(call.arguments[0], None)
                gc.collect()
                return "None"
            function = self._function(first, rest)
            value = function(*map(self._given, call.arguments), **{k: self._given(v) for k, v in call.keywords.items()})
            text = (
                type(value).__name__ if call.hidden else described(value)
            )  # MXNet computes when a value is asked for, so that errors come here
        except MissingError:
            return "not there"  # as the call that should have made it raised
        except Exception as error:  # noqa: BLE001 - whatever the module raises is its result
            self.error = error
            return kinds(error)
        if call.name:
            self._named[call.name] = value
        return text

    def _function(self, first: str, rest: str) -> Any:
        if first == "python":
            return PYTHON[rest]
        if first in MODULES:
            return operator.attrgetter(f"{first}.{rest}")(importlib.import_module(self._module))
        return operator.attrgetter(rest)(self._value(first))

    def _value(self, name: str) -> Any:
        if name not in self._named:
            raise MissingError(name)
        return self._named[name]

    def _given(self, argument: Any) -> Any:
        if isinstance(argument, Folder):
            return str(self._folder / argument.file)
        if isinstance(argument, Name):
            value = self._value(argument.name)
            for item in argument.items:
                value = value[item]
            return value
        if isinstance(argument, tuple) and type(argument) is tuple:
            return tuple(map(self._given, argument))
        return argument


def results(module: str, seed: int, folder: Path) -> list[str]:
    """Run the sequence *seed* on *module* in *folder*, and return the result of each call."""
    folder.mkdir()
    runner = Runner(module, folder)
    return [runner.result(call) for call in sequence(seed)]


def shown(module: str, seed: int, folder: Path) -> Iterator[str]:
    """Run the sequence *seed*, and yield each call with its result, and the error that was raised."""
    folder.mkdir()
    runner = Runner(module, folder)
    for number, call in enumerate(sequence(seed)):
        text = runner.result(call)
        arguments = ", ".join([*map(short, call.arguments), *(f"{k}={short(v)}" for k, v in call.keywords.items())])
        yield f"{seed}.{number}: {call.name and call.name + ' = '}{call.function}({arguments}) -> {text}"
        if call.differs:
            yield f"    im2rec, as {call.differs}: {call.ours}"
        if runner.error:
            yield f"    {type(runner.error).__name__}: {str(runner.error)[:300]}"


def short(argument: Any) -> str:
    """Return *argument* as text of bounded length."""
    text = described(argument) if isinstance(argument, (Name, Folder)) else repr(argument)
    return text if len(text) <= 80 else f"{text[:70]}... {described(argument)}"


def calls_digest(calls: Iterable[Call]) -> str:
    """Return a digest of *calls*, by which a recording of other calls is noticed."""
    return digest(
        "\n".join(f"{call.function} {described(call.arguments)} {described(call.keywords)}" for call in calls).encode()
    )


def recording(module: str, seeds: Iterable[int], folder: Path) -> Iterator[str]:
    """Yield the lines of a recording: for each sequence its seed and a digest of its calls, then its results."""
    for seed in seeds:
        yield f"# {seed} {calls_digest(sequence(seed))}"
        yield from results(module, seed, folder / str(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", default="mxnet", help="mxnet or im2rec.mx")
    parser.add_argument("--seeds", default="0:300", help="first seed, and the one behind the last")
    parser.add_argument("--out", type=Path, help="file of the results; the terminal if not given")
    parser.add_argument("--show", action="store_true", help="print the calls and the errors too")
    words = parser.parse_args()
    seeds = range(*map(int, words.seeds.split(":")))
    with tempfile.TemporaryDirectory() as folder:
        if words.show:
            lines = (line for seed in seeds for line in shown(words.module, seed, Path(folder) / str(seed)))
        else:
            lines = recording(words.module, seeds, Path(folder))
        text = "".join(f"{line}\n" for line in lines)
    if words.out:
        words.out.write_text(text, encoding="utf-8", newline="\n")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
