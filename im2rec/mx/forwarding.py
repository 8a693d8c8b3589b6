"""Import the modules of :mod:`im2rec.mx` by the names that they have in MXNet, and refuse those that are not there."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

from im2rec.mx.missing import missing

MODULES = ("base", "context", "gluon", "image", "io", "ndarray", "recordio")
ALIASES = {"img": "image", "nd": "ndarray"}  # as attributes in MXNet; here importable as modules too
# The modules that MXNet's packages have their names from; here each is the one module, of which it is an attribute too.
_INNER = {
    "gluon.data.vision.datasets": "gluon.data.vision",
    "image.image": "image",
    "io.io": "io",
    "ndarray.ndarray": "ndarray",
}

_HERE, _THERE = "im2rec.mx", "mxnet"


class _Forwarder(MetaPathFinder, Loader):
    """Gives the one module of :mod:`im2rec.mx` under its other names: ``mxnet.recordio``, ``im2rec.mx.nd``.

    Importing them as files again would make a second module of each, with other classes.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = _target(fullname)
        if name == f"{_HERE}.__main__":  # the launcher, which no script asks for by this name
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        if name is None:
            return None
        importlib.util.find_spec(name)  # raises the error for one that is not there
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        name = _target(spec.name)
        assert name is not None
        module = importlib.import_module(name)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state  # its own, which the import system has just replaced

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of the module *fullname*, which ``python -m`` runs."""
        loader: Any = importlib.import_module(_target(fullname) or fullname).__loader__
        code: CodeType | None = loader.get_code(loader.name)
        return code


def _target(fullname: str) -> str | None:
    """Return the name of the module that *fullname* is another name of, or None."""
    if fullname.startswith(f"{_HERE}."):
        target = _HERE + "." + _resolved(fullname[len(_HERE) + 1 :])
        return None if target == fullname else target
    # A real MXNet is never looked at: then the module of this name is another one.
    if fullname.startswith(f"{_THERE}.") and sys.modules.get(_THERE) is sys.modules.get(_HERE, _THERE):
        return _HERE + "." + _resolved(fullname[len(_THERE) + 1 :])
    return None


def _resolved(path: str) -> str:
    """Return the dotted *path* below the package with the own name of each module in place of another one."""
    found = ""
    for name in path.split("."):
        found = f"{found}.{name}" if found else name
        found = ALIASES.get(found) or _INNER.get(found) or found
    return found


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
