"""What the limit is, and what to try: a pure function of figures that were measured.

All rates are images a second. Nothing is advised that the figures do not speak for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from im2rec.bench.read_speed import DISK, MEMORY, UNKNOWN

READING, DECODING, AUGMENTING, NORMALISING = "reading", "decoding", "augmenting", "normalising"
RESIZING, ENCODING, WRITING = "resizing", "encoding", "writing"
TOO_FEW, HANDING_OVER, CROWDED = "too few threads", "handing over", "a busy machine"

_GROWS = 0.3  # of what more threads could give at best: then even more of them are worth a try
_IDLE = 0.7  # of what the stages' own times let expect: below it threads wait for one another
_LOCK_FREE = 10_000  # JPEGs decoded a second: below it the interpreter's lock is hardly ever waited for
_UNSTEADY = 0.3  # of the median, between the quarters of the runs: something else was running
_ROOM = 1.3  # times what is delivered: a disk that gives so much is not the limit of more threads
_MET = 1.5  # times what the disk gives: who delivers more reads from memory by now
_SMALLER = 1.25  # times the side that is needed: then a smaller one is worth packing for
_FASTER = 1.5  # times a stage: then another way to do it is worth naming
_WORTH_PROCESSES = 1.2  # times the best of threads: processes take more memory, and longer to start
_RESIZERS = 0.3  # of the time: where OpenCV is not installed, nothing can be measured
_FITS = 0.5  # of memory
_SOURCES = {DISK: "the disk gives", MEMORY: "memory gives", UNKNOWN: "comes, from wherever it is,"}


@dataclasses.dataclass(frozen=True)
class Advice:
    """The *limit* in a word, a *sentence* on it and on what to try, and the *keys* and *threads* to try next."""

    limit: str
    sentence: str
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    threads: int | None = None


class Tip(NamedTuple):
    """What to try, in *words*, and the *keys* that do it, where the same command takes them."""

    words: str
    keys: Mapping[str, str] = {}


_DISK = Tip("a faster disk")
_INSTALL = Tip("engine=opencv (pip install opencv-python-headless)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class IteratorFigures:
    """What was measured of an iterator.

    *decode*, *augment* and *normalise* are rates on one thread; *read* is as the iterator meets it (*source*: MEMORY,
    DISK, UNKNOWN) on the most threads measured; *decode_in_threads* and *whole* go by number of threads; *spread* is
    the middle half of the runs of the whole on the most of them, as a part of their median. The rates of other
    ways (*by_opencv* of augmenting, *uncompressed* of decoding, *in_bytes* of normalising, *by_processes* of the
    whole on the most threads) are None unless measured. *jpegs* says whether most images are JPEGs.
    Sides are shorter sides, in pixels: as stored, and what would do. *memory* is the machine's.
    """

    read: float
    decode: float
    augment: float
    normalise: float
    decode_in_threads: Mapping[int, float]
    whole: Mapping[int, float]
    cpus: int
    spread: float = 0.0
    source: str = MEMORY
    bytes_per_image: float = 0.0
    stored_side: int = 0
    enough_side: int = 0
    is_resized: bool = False
    jpegs: bool = True
    engine: str = "opencv"
    opencv_installed: bool = True
    by_opencv: float | None = None
    uncompressed: float | None = None
    uncompressed_bytes: int = 0
    in_bytes: float | None = None
    by_processes: float | None = None
    memory: int | None = None

    @property
    def most(self) -> int:
        """The most threads that were measured."""
        return max(self.whole)


def iterator_advice(figures: IteratorFigures) -> Advice:
    """What limits the iterator at the most threads that were measured."""
    return _doubted(_iterator_advice(figures), figures.spread)


def _iterator_advice(figures: IteratorFigures) -> Advice:
    n, delivered = figures.most, figures.whole[figures.most]
    scaled = min(max(figures.decode_in_threads[n] / figures.decode, 1.0), float(n))
    times = {
        DECODING: 1 / figures.decode_in_threads[n],
        AUGMENTING: 1 / (figures.augment * scaled),
        NORMALISING: 1 / (figures.normalise * scaled),
    }
    work = sum(times.values())
    if figures.source != MEMORY and 1 / figures.read >= work and delivered <= _MET * figures.read:
        return _reading(figures, 1 / work)
    if _want_more(figures.whole, figures.cpus) and (figures.source == MEMORY or figures.read > _ROOM * delivered):
        return _too_few(figures.whole, figures.cpus, "thread", _largest(times))
    if figures.source == MEMORY:
        times[READING] = 1 / figures.read
    possible = 1 / sum(times.values())
    if n > 1 and figures.jpegs and n <= figures.cpus and _is_crowded(figures.decode_in_threads):
        return _crowded(figures.decode_in_threads)
    if n > 1 and figures.spread <= _UNSTEADY and (delivered < _IDLE * possible or not _grows(figures.whole)):
        return _handing_over(figures, possible)
    limit = _largest(times)
    share = times[limit] / sum(times.values())
    busy = f"{limit} takes {share:.0%} of the work of {_threads(n)}{_all_cpus(n, figures.cpus)}"
    tips = _TIPS[limit](figures, share) if limit != READING else []
    return _advice(limit, busy, tips)


def _reading(figures: IteratorFigures, possible: float) -> Advice:
    rate = f"{figures.read * figures.bytes_per_image / 1e6:.3g} MB/s, {figures.read:,.0f} images/s,"
    what = f"{_SOURCES[figures.source]} {rate} where the CPUs could do {possible:,.0f}"
    return _advice(READING, f"reading: {what}", [_DISK, *_smaller(figures)])


def _want_more(whole: Mapping[int, float], cpus: int) -> bool:
    """Whether there are CPUs left, and more threads (or workers) have helped so far."""
    return max(whole) < cpus and _grows(whole)


def _grows(whole: Mapping[int, float]) -> bool:
    """Whether the last threads have helped; so they have when there is nothing to compare them with."""
    n = max(whole)
    before = max((threads for threads in whole if threads < n), default=n)
    return whole[n] / whole[before] >= 1 + _GROWS * (n / before - 1)


def _too_few(whole: Mapping[int, float], cpus: int, what: str, largest: str) -> Advice:
    n = max(whole)
    counted = f"only {n} {what}{'s' if n > 1 else ''} for {cpus} CPUs (most of the work is {largest})"
    tip = f"preprocess_threads={cpus}" if what == "thread" else f"--workers {cpus}"
    return dataclasses.replace(_advice(TOO_FEW, counted, [Tip(f"more {what}s: {tip}")]), threads=cpus)


def _is_crowded(decode_in_threads: Mapping[int, float]) -> bool:
    """Whether decoding alone gained nothing by the last threads, though nothing but a CPU is needed for it."""
    return not _grows(decode_in_threads) and max(decode_in_threads.values()) < _LOCK_FREE


def _crowded(decode_in_threads: Mapping[int, float]) -> Advice:
    n, one = max(decode_in_threads), min(decode_in_threads)
    alone = f"{_threads(n)} {decode_in_threads[n]:,.0f} images/s, {_threads(one)} {decode_in_threads[one]:,.0f}"
    what = f"other programs have the CPUs, as even decoding alone gains nothing: {alone}"
    return _advice(CROWDED, what, [Tip("again when nothing else runs")])


def _handing_over(figures: IteratorFigures, possible: float) -> Advice:
    n, whole, best = figures.most, figures.whole, best_threads(figures.whole)
    what = f"threads wait for one another: {n} deliver {whole[n]:,.0f} images/s"
    if whole[n] < _IDLE * possible:
        what += f" of the {possible:,.0f} they could do"
    elif best < n:
        what += f", {_threads(best)} {whole[best]:,.0f}"
    if figures.by_processes is not None and figures.by_processes >= _WORTH_PROCESSES * whole[best]:
        gain = figures.by_processes / whole[n]
        return _advice(HANDING_OVER, what, [Tip(f"backend=processes, {gain:.1f} x as fast", {"backend": "processes"})])
    return _advice(HANDING_OVER, what, [Tip(f"fewer: preprocess_threads={best}")] if best < n else [])


def best_threads(whole: Mapping[int, float]) -> int:
    """The fewest threads (or workers) that come within 3 % of the best."""
    return min(threads for threads, rate in whole.items() if rate >= 0.97 * max(whole.values()))


def _decoding(figures: IteratorFigures, _share: float) -> list[Tip]:
    tips = _smaller(figures)
    fits = figures.memory is not None and figures.uncompressed_bytes <= _FITS * figures.memory
    if figures.uncompressed is not None and fits and figures.uncompressed >= _FASTER * figures.decode:
        gain, cost = figures.uncompressed / figures.decode, figures.uncompressed_bytes
        bytes_ = f"{cost / 1e9:,.3g} GB" if cost > 1e9 else f"{cost / 1e6:,.1f} MB"
        tips.append(Tip(f"uncompressed records (pack encoding=.bmp: {bytes_}, decoded {gain:.1f} x as fast)"))
    return tips


def _augmenting(figures: IteratorFigures, share: float) -> list[Tip]:
    tips = _other_engine(figures.engine, figures.augment, figures.by_opencv)
    if figures.is_resized:
        if share >= _RESIZERS and not figures.opencv_installed:
            tips.append(_INSTALL)
        tips += _smaller(figures)
    return tips


def _normalising(figures: IteratorFigures, _share: float) -> list[Tip]:
    if figures.in_bytes is None or figures.in_bytes < _FASTER * figures.normalise:
        return []
    gain = figures.in_bytes / figures.normalise
    return [Tip(f"dtype=uint8, {gain:.1f} x as fast at it", {"dtype": "uint8"})]


_TIPS = {DECODING: _decoding, AUGMENTING: _augmenting, NORMALISING: _normalising}


def _other_engine(engine: str, now: float, by_opencv: float | None) -> list[Tip]:
    if engine == "opencv" or by_opencv is None or by_opencv < _FASTER * now:
        return []
    return [Tip(f"engine=opencv, {by_opencv / now:.1f} x as fast at it", {"engine": "opencv"})]


def _smaller(figures: IteratorFigures) -> list[Tip]:
    """A smaller size, where images are stored larger than they are needed."""
    if not figures.enough_side or figures.stored_side < _SMALLER * figures.enough_side:
        return []
    return [Tip(f"a smaller size at pack time (resize={figures.enough_side}, not {figures.stored_side})")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackFigures:
    """What was measured of packing.

    Stages are rates of one worker, None for those that are not done; *whole* goes by number of workers. *source* is
    where the files are read from. *by_opencv* is the rate of resizing and encoding together, *in_draft* of decoding;
    None unless measured.
    """

    read: float
    write: float
    decode: float | None
    resize: float | None
    encode: float | None
    whole: Mapping[int, float]
    cpus: int
    spread: float = 0.0
    source: str = MEMORY
    by_opencv: float | None = None
    in_draft: float | None = None
    opencv_installed: bool = True
    engine: str = "opencv"


def pack_advice(figures: PackFigures) -> Advice:
    """What limits packing at the most workers that were measured."""
    return _doubted(_pack_advice(figures), figures.spread)


def _pack_advice(figures: PackFigures) -> Advice:
    n = max(figures.whole)
    rates = {DECODING: figures.decode, RESIZING: figures.resize, ENCODING: figures.encode}
    times = {name: 1 / rate for name, rate in rates.items() if rate is not None}
    work, reading, writing = sum(times.values()) / n, 1 / figures.read, 1 / figures.write
    # One process writes for all, and one disk is read by all.
    if writing >= work and writing >= reading:
        return _advice(WRITING, f"writing: the disk takes {figures.write:,.0f} images/s", [_DISK])
    if figures.source != MEMORY and reading >= work and figures.whole[n] <= _MET * figures.read:
        what = f"reading: {_SOURCES[figures.source]} {figures.read:,.0f} images/s"
        return _advice(READING, what, [_DISK])
    largest = _largest(times | {READING: reading})
    if _want_more(figures.whole, figures.cpus):
        return _too_few(figures.whole, figures.cpus, "worker", largest)
    share = (times | {READING: reading})[largest] / (sum(times.values()) + reading)
    tips = _packing_tips(figures, largest, share)
    busy = f"{largest} takes {share:.0%} of the work of {n} worker{'s' if n > 1 else ''}" + _all_cpus(n, figures.cpus)
    return _advice(largest, busy, tips)


def _packing_tips(figures: PackFigures, largest: str, share: float) -> list[Tip]:
    tips: list[Tip] = []
    if largest == DECODING and figures.decode and figures.in_draft and figures.in_draft >= _FASTER * figures.decode:
        gain = figures.in_draft / figures.decode
        tips.append(Tip(f"draft=1, {gain:.1f} x as fast at it, with other pixels", {"draft": "1"}))
    if largest in (RESIZING, ENCODING) and figures.resize and figures.encode:
        tips += _other_engine(figures.engine, 1 / (1 / figures.resize + 1 / figures.encode), figures.by_opencv)
        if share >= _RESIZERS and not figures.opencv_installed:
            tips.append(_INSTALL)
    return tips


def _doubted(advice: Advice, spread: float) -> Advice:
    """*advice*, with a word on runs that differed much."""
    if spread <= _UNSTEADY:
        return advice
    doubt = f"; but runs differed by {spread:.0%}: measure again when nothing else runs"
    return dataclasses.replace(advice, sentence=advice.sentence + doubt)


def _largest(times: Mapping[str, float]) -> str:
    return max(times, key=lambda name: times[name])


def _threads(n: int) -> str:
    return f"{n} threads" if n > 1 else "one thread"


def _all_cpus(n: int, cpus: int) -> str:
    return ", one for each CPU" if n == cpus else ""


def _advice(limit: str, what: str, tips: list[Tip]) -> Advice:
    sentence = f"{what}; try {' or '.join(tip.words for tip in tips)}" if tips else what
    return Advice(limit, sentence, {key: value for tip in tips for key, value in tip.keys.items()})
