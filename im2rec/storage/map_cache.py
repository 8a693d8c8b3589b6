"""Where the records of a ``.rec`` are, kept in the cache: an index is parsed, and a file without one scanned, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from im2rec.storage import array_cache
from im2rec.storage.array_cache import Arrays, Entry, Sources, Stamp, stamp_of
from im2rec.storage.files import InputFile
from im2rec.storage.record_keys import RecordKeys
from im2rec.storage.record_map import RecordMap

_KEYS, _ORDER, _OFFSETS = "keys", "order", "offsets"


class CachedMap(NamedTuple):
    """A map, and whether its arrays are those of the cache."""

    map: RecordMap
    is_cached: bool


def sources_of(file: InputFile, index: Path | None, variant: str) -> Sources | None:
    """Return the sources of what is made from the open *file* and its *index*; None if they cannot be examined."""
    files = [(os.path.abspath(file.path), Stamp.of(file.status()))]  # noqa: PTH100 - resolve() would follow links
    if index is not None:
        if (stamp := stamp_of(index)) is None:
            return None
        files.append((os.path.abspath(index), stamp))  # noqa: PTH100
    return Sources(variant, tuple(files))


def cached_map(sources: Sources | None, make: Callable[[], RecordMap]) -> CachedMap:
    """Return the map of *sources* from the cache, or that of ``make()``, which is then kept.

    The map of a file that is damaged is not kept.
    """
    if sources is not None and (found := array_cache.load(sources, _map_of)) is not None:
        return CachedMap(found, is_cached=True)
    made = make()
    if sources is None or made.stops is not None or len(made.damage) or len(made.lost) or len(made.doubtful):
        return CachedMap(made, is_cached=False)
    kept = array_cache.store(sources, len(made.offsets), lambda: _content(made), _map_of)
    return CachedMap(made, is_cached=False) if kept is None else CachedMap(kept, is_cached=True)


def _content(made: RecordMap) -> tuple[dict[str, Any], Arrays]:
    """Return the facts and arrays that are kept of a map."""
    arrays: Arrays = {_OFFSETS: made.offsets}
    facts: dict[str, Any] = {"end": made.end, "unlisted": made.unlisted, "has_gaps": made.has_gaps}
    keys, order = made.keys.compact().stored
    if isinstance(keys, range):
        facts["first_key"] = keys.start
    else:
        arrays[_KEYS] = keys
        arrays |= {} if order is None else {_ORDER: order}
    return facts, arrays


def _map_of(entry: Entry) -> RecordMap:
    facts, arrays = entry.facts, entry.arrays
    offsets = arrays[_OFFSETS]
    first = facts.get("first_key")
    keys = arrays[_KEYS] if first is None else range(first, first + len(offsets))
    order = arrays.get(_ORDER)
    return RecordMap(
        RecordKeys(keys, order, ascend=order is None),
        offsets,
        facts["end"],
        unlisted=facts["unlisted"],
        has_gaps=facts["has_gaps"],
    )
