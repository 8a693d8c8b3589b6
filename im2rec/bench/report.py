"""What a run of bench found, for whoever prints it; every rate is in images a second."""

from __future__ import annotations

import dataclasses

from im2rec.bench.advice import Advice
from im2rec.bench.timing import Rate


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage alone on one thread; *share* is what it has of the time that a picture takes in all, from 0 to 1."""

    name: str
    rate: Rate
    share: float


@dataclasses.dataclass(frozen=True)
class Threads:
    """The *whole* on some threads (or worker processes), and decoding alone on as many, None where it was not timed."""

    threads: int
    whole: Rate
    full_decode: Rate | None


@dataclasses.dataclass(frozen=True)
class ReadSpeed:
    """Reading alone on one thread; bytes a second. *disk* is None when memory held everything and would not forget it.

    *source* says where the work itself got its bytes: ``memory``, ``disk``, ``unknown``.
    """

    source: str
    in_memory_before: float | None
    memory_in_order: float
    memory_shuffled: float | None
    disk_in_order: float | None
    disk_shuffled: float | None


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another library on the same file, in turns with ours; *rate* is None when it failed, and *note* says why."""

    name: str
    version: str
    rate: Rate | None
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What both kinds of run tell. Times are in seconds, *peak_memory* in bytes (None where nothing tells it).

    *turns* is ours on the most threads, in turns with the *peers*; without peers None.
    """

    input: str
    records: int
    pictures: str
    engine: str
    jpeg_decoder: str
    cpus: int
    seconds_each: float
    opening_s: float
    first_s: float
    read: ReadSpeed
    stages: list[Stage]
    threads: list[Threads]
    peak_memory: int | None
    left_out: int = 0
    advice: Advice
    turns: Rate | None = None
    peers: list[Peer] = dataclasses.field(default_factory=list)
    plot: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeedReport(Report):
    """What was found about an iterator."""

    data_shape: list[int]
    batch_size: int
    dtype: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackReport(Report):
    """What was found about packing: *opening_s* is reading the list, *first_s* until the first picture is packed."""

    root: str


@dataclasses.dataclass(frozen=True)
class Planned:
    """What a dry run tells: nothing was measured."""

    input: str
    records: int
    threads: list[int]
    plot: str
    dry_run: bool = True
