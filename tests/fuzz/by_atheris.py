"""Fuzzing led by atheris, where it is installed: it mutates further what reaches code that no input has reached before.

Source: https://github.com/google/atheris, README and ``custom_mutator``.
"""

from __future__ import annotations

import gc
import importlib.util
import random
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.harness import MOST_BYTES, Outcome, Recorder, an_input
from fuzz.parsers import Place
from fuzz.targets import Target

_NEVER_S = 10**6
# numba reads the code of these functions.
_COMPILED = [
    f"im2rec.jpeg.{name}"
    for name in ("tables", "entropy", "idct", "upsample", "color", "taps", "scale", "decoder", "entry")
]


def is_installed() -> bool:
    """Return True if atheris can be imported."""
    return importlib.util.find_spec("atheris") is not None


def _functions() -> list[types.FunctionType]:
    """Return the functions of our package; atheris.instrument_all() would take those of numpy too, for minutes."""
    found = [item for item in gc.get_objects() if isinstance(item, types.FunctionType)]
    return [each for each in found if str(each.__module__).startswith("im2rec.") and each.__module__ not in _COMPILED]


def fuzz(
    target: Target,
    seed: int,
    *,
    goes_on: Callable[[int], bool],
    announce: Callable[[bytes], object],
    finish: Callable[[Outcome], None],
) -> None:
    """Do as :func:`fuzz.harness.fuzz` does; call *finish* with the outcome, which must end the process.

    libFuzzer, by which atheris works, does not return to its caller.
    """
    import atheris  # noqa: PLC0415 - it is installed on few machines

    seeds, recorder = target.make_seeds(), Recorder(target)
    folder = Path(tempfile.mkdtemp(dir=Place.path))
    for number, data in enumerate(seeds):
        (folder / str(number)).write_bytes(data)

    def run(data: bytes) -> None:
        if not goes_on(recorder.inputs):
            finish(recorder.outcome())
        announce(data)
        recorder.run(data, timed=True)

    def mutate(data: bytes, most: int, number: int) -> Any:
        rng = random.Random(number)
        return atheris.Mutate(data, most) if rng.random() < 0.5 else an_input(target, rng, [data, *seeds])[:most]

    for function in _functions():
        atheris.instrument_func(function)
    limits = [f"-max_len={MOST_BYTES // 16}", f"-timeout={_NEVER_S}", "-rss_limit_mb=0"]  # the parent watches the time
    options = [*limits, f"-seed={seed % 2**32}", "-verbosity=0", f"-artifact_prefix={folder}/"]
    atheris.Setup(["fuzz", *options, str(folder)], run, custom_mutator=mutate)
    atheris.Fuzz()
