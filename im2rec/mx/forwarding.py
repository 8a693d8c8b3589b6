"""Import the modules of :mod:`im2rec.mx` by the names that they have in MXNet, and refuse those that are not there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from im2rec.mx.missing import missing

MODULES = ("base", "context", "gluon", "image", "io", "ndarray", "recordio")
ALIASES = {"img": "image", "nd": "ndarray"}  # as attributes in MXNet; here importable as modules too

_HERE, _THERE = "im2rec.mx", "mxnet"


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
    """The last finder: raises the error of :func:`missing` for modules of MXNet that are not here.

    ``from mxnet import autograd`` asks for the attribute first, then imports the module. If that error had the full
    name of the module, Python would pass it over and say "cannot import name" only.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{_HERE}."):
            return None
        package, _, name = fullname.rpartition(".")
        raise ModuleNotFoundError(_sentence(package, name), name=_THERE + fullname[len(_HERE) :])


def _sentence(package: str, name: str) -> str:
    """Return the sentence of *package* on *name*, which it lacks: that of its attributes, if it has one."""
    refuse = getattr(sys.modules.get(package), "__getattr__", None)
    if refuse is not None:
        try:
            refuse(name)
        except AttributeError as error:
            return str(error)
    return str(missing(package[len("im2rec.") :], name, getattr(sys.modules.get(package), "__all__", ())))


_FINDERS = _Forwarder(), _Refuser()


def install() -> None:
    """Add both finders to those of the import system, once."""
    first, last = _FINDERS
    if first not in sys.meta_path:
        sys.meta_path.insert(0, first)
        sys.meta_path.append(last)
