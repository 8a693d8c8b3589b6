"""What a pack is made of: whatever could change a byte of its output, by name.

An unfinished pack is only gone on with, and parts of a pack are only joined, if these values are the same.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from im2rec.packing.params import PackParams
from im2rec.storage.digest import hash_range
from im2rec.storage.files import InputFile, PathLike

_NOT_GIVEN = "not given"


def identity(list_path: PathLike, root: PathLike, params: PackParams, *, outside: str, verify: bool) -> dict[str, Any]:
    """Return the values of a pack that are known before it begins; the libraries of its workers come on top.

    ``list`` is the SHA-256 of the list. Keys that have their defaults are left out, and the engine, as the workers say
    which library that is. Raises InputError.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(PackParams)}
    keys = {
        name: value
        for name, value in dataclasses.asdict(params).items()
        if name != "engine" and value != defaults[name]
    }
    return {
        "list": list_digest(list_path),
        "root": os.path.realpath(root),
        **keys,
        "outside": outside,
        "verify": verify,
        "im2rec": _version(),
    }


def _version() -> str:
    try:
        return metadata.version("im2rec")
    except metadata.PackageNotFoundError:  # run from its source
        return "not installed"


def list_digest(path: PathLike) -> str:
    """Return the SHA-256 of the list *path* in hexadecimal digits. Raises InputError."""
    with InputFile(path) as file:
        return hash_range(file, 0, file.size).hex()


def differences(begun: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words each value in which a pack that was *begun* differs from one that would begin *now*."""
    for name in dict.fromkeys([*begun, *now]):
        was, is_ = begun.get(name, _NOT_GIVEN), now.get(name, _NOT_GIVEN)
        if was != is_:
            yield "another list, or this one has changed" if name == "list" else f"{name}={was}, not {name}={is_}"
