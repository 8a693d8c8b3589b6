"""Parts of packs for the tests of ``join``: packed by our own code, and altered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from im2rec.packing.pack import PackOptions, pack, part_path
from im2rec.packing.params import PackParams
from im2rec.packing.part_file import part_file_path

SUFFIXES = (".rec", ".idx", ".rec.bad.jsonl", ".rec.digest")


def packed_parts(
    listed: Path, root: Path, out: Path, nsplit: int, options: PackOptions | None = None, **keys: Any
) -> list[Path]:
    """Pack all *nsplit* parts of *listed*, by one worker, unchanged unless resized; return their paths in order."""
    parts = []
    for number in range(nsplit):
        params = PackParams(unchanged="resize" not in keys, nsplit=nsplit, part=number, **keys)
        pack(listed, root, out, params, options or PackOptions(workers=1))
        parts.append(part_path(out, params))
    return parts


def alter(rec: Path, **values: Any) -> None:
    """Set *values* in the part file of *rec*; those in ``pack``, its identity, are added to it."""
    path = part_file_path(rec)
    found = json.loads(path.read_bytes())
    identity = {**found["pack"], **values.pop("pack", {})}
    path.write_text(json.dumps({**found, **values, "pack": identity}))


def move(rec: Path, new: Path) -> Path:
    """Rename the part *rec*, its index and its part file to *new*; return that."""
    for suffix in ("", ".idx", ".json"):
        Path(f"{rec}{suffix}").rename(f"{new}{suffix}")
    return new


def contents(out: Path) -> dict[str, bytes]:
    """The bytes of the ``.rec`` *out* and of the files beside it that are there, by suffix."""
    paths = {suffix: out.with_name(out.stem + suffix) for suffix in SUFFIXES}
    return {suffix: path.read_bytes() for suffix, path in paths.items() if path.exists()}
