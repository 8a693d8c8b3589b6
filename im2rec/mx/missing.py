"""The error for a name that MXNet has and this package has not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

PURPOSE = "im2rec.mx reads and writes data, it does not train"
_NEAR = 0.85  # of difflib: a letter too many, or two exchanged; names of MXNet itself are less near


def missing(module: str, name: str, known: Iterable[str], reason: str = "") -> AttributeError:
    """Return the error for *name*, asked of *module*, which has *known*; the caller raises it.

    *reason* says why it is not there and what to use, if that is known. Names of Python itself (``__path__``), which
    programs ask modules for, get Python's own message.
    """
    if name.startswith("__"):
        return AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
    names = sorted(known)
    near = [] if reason else difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}? " if near else ""
    return AttributeError(
        f"{module} has no {name}: {reason or PURPOSE}; {hint}{module} has {', '.join(names)}", name=name
    )
