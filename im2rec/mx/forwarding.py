"""Import the modules of :mod:`im2rec.mx` by the names that they have in MXNet, and refuse those that are not there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = ("base", "context", "gluon", "image", "io", "ndarray", "recordio")
ALIASES = {"img": "image", "nd": "ndarray"}  # as attributes in MXNet; here importable as modules too

_HERE, _THERE = "im2rec.mx", "mxnet"
_CONTENTS = "recordio, image (img), ndarray (nd), io, gluon.data, cpu(), gpu()"


def missing(name: str) -> str:
    """Return the sentence on *name*, without the leading ``mxnet.``, which is in MXNet perhaps, and not here."""
    return f"{_THERE}.{name} is not in {_HERE}, which reads and writes data and does not train; it has {_CONTENTS}"


class _Forwarder(MetaPathFinder, Loader):
    """Gives the one module of :mod:`im2rec.mx` under its other names: ``mxnet.recordio``, ``im2rec.mx.nd``.

    Importing them as files again would make a second module of each, with other classes.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = _target(fullname)
        return None if name is None else ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        name = _target(spec.name)
        assert name is not None
        module = importlib.import_module(name)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state  # its own, which the import system has just replaced


def _target(fullname: str) -> str | None:
    """Return the name of the module that *fullname* is another name of, or None."""
    package, _, name = fullname.rpartition(".")
    if package == _HERE and name in ALIASES:
        return f"{_HERE}.{ALIASES[name]}"
    # A real MXNet is never looked at: then the module of this name is another one.
    if fullname.startswith(f"{_THERE}.") and sys.modules.get(_THERE) is sys.modules.get(_HERE, _THERE):
        return _HERE + fullname[len(_THERE) :]
    return None


class _Refuser(MetaPathFinder):
    """The last finder: raises the sentence of :func:`missing` for modules of MXNet that are not here.

    ``from mxnet import autograd`` asks for the attribute first, then imports the module. If that error had the full
    name of the module, Python would pass it over and say "cannot import name" only.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{_HERE}."):
            return None
        name = fullname[len(_HERE) + 1 :]
        raise ModuleNotFoundError(_sentence(name), name=f"{_THERE}.{name}")


def _sentence(name: str) -> str:
    """Return the sentence of the module that lacks *name*, if it has one of its own, else that of :func:`missing`."""
    parent, _, last = name.rpartition(".")
    refuse = getattr(sys.modules.get(f"{_HERE}.{parent}"), "__getattr__", None)
    if refuse is not None:
        try:
            refuse(last)
        except AttributeError as error:
            return str(error)
    return missing(name)


_FINDERS = _Forwarder(), _Refuser()


def install() -> None:
    """Add both finders to those of the import system, once."""
    first, last = _FINDERS
    if first not in sys.meta_path:
        sys.meta_path.insert(0, first)
        sys.meta_path.append(last)
