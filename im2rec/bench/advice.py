"""Advice on what limits the speed and what to try: a pure function of measured figures.

All rates are in images per second. Nothing is advised unless the figures support it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from im2rec.bench.read_speed import DISK, MEMORY, UNKNOWN
from im2rec.errors import counted
from im2rec.schema import described

READING, DECODING, AUGMENTING, NORMALISING = "reading", "decoding", "augmenting", "normalising"
RESIZING, ENCODING, WRITING = "resizing", "encoding", "writing"
TOO_FEW_THREADS, CONTENTION, BUSY_MACHINE = "too few threads", "waiting threads", "other programs"
LIMITS = (
    *(READING, DECODING, AUGMENTING, NORMALISING, RESIZING, ENCODING, WRITING),
    *(TOO_FEW_THREADS, CONTENTION, BUSY_MACHINE),
)

_MIN_GAIN = 0.3  # of the gain of perfect scaling: if the last threads brought this much, more are worth a try
_MIN_EFFICIENCY = 0.7  # of the rate that the stages alone would allow: below it threads wait for one another
_GIL_BOUND_RATE = 10_000  # JPEGs decoded per second: only for images so small do threads wait for the GIL
_MAX_SPREAD = 0.3  # between the quartiles of the runs, as a fraction of their median: above it other programs ran
_DISK_HEADROOM = 1.3  # times what is delivered: a disk that reads this fast will not limit more threads
_CACHED_FACTOR = 1.5  # times the disk's rate: if more is delivered, the file comes from the page cache by now
_OVERSIZE_FACTOR = 1.25  # times the side that is needed: from here on a smaller size is worth packing
_MIN_SPEEDUP = 1.5  # of a stage: from here on an alternative is worth advising
_MIN_PROCESS_SPEEDUP = 1.2  # over the best number of threads: processes take more memory, and longer to start
_MIN_RESIZE_SHARE = 0.3  # of the time: OpenCV is advised without a measurement where it is not installed
_MAX_MEMORY_SHARE = 0.5
_SOURCES = {DISK: "the disk delivers", UNKNOWN: "the source, disk or memory, delivers"}


@dataclasses.dataclass(frozen=True)
class Advice:
    """The *limit* in a word or two, a *sentence* that explains it, and the *keys* and *threads* to try next."""

    limit: str = described(f"`{'`, `'.join(LIMITS)}`.")
    sentence: str = described("The limit in a sentence, and what to try.")
    keys: Mapping[str, str] = described("Keys to try, with their values.", factory=dict)
    threads: int | None = described("Number of threads or workers to try; null if other ones are not advised.", None)


class Tip(NamedTuple):
    """Something to try: in *words*, and as *keys* if the command that was run takes them."""

    words: str
    keys: Mapping[str, str] = {}


_FASTER_DISK = Tip("a faster disk")
_INSTALL_OPENCV = Tip("engine=opencv (pip install opencv-python-headless)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class IteratorFigures:
    """The measured figures of an iterator.

    * *decode*, *augment*, *normalise*: rates of the stages on one thread.
    * *read*: the rate of reading with the most threads, from where the iterator reads: *source*.
    * *decode_in_threads*, *whole*: rates by number of threads; *spread* is that of the whole with the most threads.
    * *augment_with_opencv*, *decode_uncompressed*, *normalise_to_uint8*, *whole_in_processes* (as many as
      *max_threads*): rates of alternatives, None unless measured.
    * *decode_releases_gil*: True if most images are decoded without holding Python's global interpreter lock.
    * *stored_side*, *needed_side*: shorter sides in pixels; *needed_side* is 0 if any size is needed.
    * *is_resized*: True if images are resized or warped in every epoch.
    * *uncompressed_bytes*: the size of the file with uncompressed images; *memory*: what this process may use, in
      bytes, None if unknown.
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
    needed_side: int = 0
    is_resized: bool = False
    decode_releases_gil: bool = True
    engine: str = "opencv"
    has_opencv: bool = True
    augment_with_opencv: float | None = None
    decode_uncompressed: float | None = None
    uncompressed_bytes: int = 0
    normalise_to_uint8: float | None = None
    whole_in_processes: float | None = None
    memory: int | None = None

    @property
    def max_threads(self) -> int:
        """The largest number of threads that was measured."""
        return max(self.whole)


def iterator_advice(figures: IteratorFigures) -> Advice:
    """Return what limits the iterator with the most threads that were measured."""
    return _with_spread_warning(_iterator_advice(figures), figures.spread)


def _iterator_advice(figures: IteratorFigures) -> Advice:
    n, delivered = figures.max_threads, figures.whole[figures.max_threads]
    # Only decoding is measured with several threads: the other stages are taken to scale as it does.
    scaling = min(max(figures.decode_in_threads[n] / figures.decode, 1.0), float(n))
    times = {
        DECODING: 1 / figures.decode_in_threads[n],
        AUGMENTING: 1 / (figures.augment * scaling),
        NORMALISING: 1 / (figures.normalise * scaling),
    }
    work = sum(times.values())
    if figures.source != MEMORY and 1 / figures.read >= work and delivered <= _CACHED_FACTOR * figures.read:
        return _reading_advice(figures, 1 / work)
    is_reading_fast = figures.source == MEMORY or figures.read > _DISK_HEADROOM * delivered
    if _are_more_worth_trying(figures.whole, figures.cpus) and is_reading_fast:
        return _more_advice(figures.whole, figures.cpus, "thread", _longest(times))
    if figures.source == MEMORY:  # which takes CPU time; while one thread waits for a disk, others decode
        times[READING] = 1 / figures.read
    possible = 1 / sum(times.values())
    if n > 1 and figures.decode_releases_gil and n <= figures.cpus and _is_machine_busy(figures.decode_in_threads):
        return _busy_machine_advice(figures.decode_in_threads)
    is_waiting = delivered < _MIN_EFFICIENCY * possible or not _did_last_threads_help(figures.whole)
    if n > 1 and figures.spread <= _MAX_SPREAD and is_waiting:
        return _contention_advice(figures, possible)
    limit = _longest(times)
    share = times[limit] / sum(times.values())
    sentence = f"{limit} takes {share:.0%} of the work of {_threads(n)}{_per_cpu(n, figures.cpus)}"
    tips = _STAGE_TIPS[limit](figures, share) if limit != READING else []
    return _advice(limit, sentence, tips)


def _reading_advice(figures: IteratorFigures, possible: float) -> Advice:
    rate = f"{figures.read * figures.bytes_per_image / 1e6:.3g} MB/s, {figures.read:,.0f} images/s,"
    sentence = f"reading: {_SOURCES[figures.source]} {rate} where the CPUs could do {possible:,.0f}"
    return _advice(READING, sentence, [_FASTER_DISK, *_smaller_size_tips(figures)])


def _are_more_worth_trying(whole: Mapping[int, float], cpus: int) -> bool:
    """Return True if there are unused CPUs and the last threads (or workers) that were added have helped."""
    return max(whole) < cpus and _did_last_threads_help(whole)


def _did_last_threads_help(rates: Mapping[int, float]) -> bool:
    """Return True if the largest number of threads gains enough over the next smaller one, or is the only one."""
    n = max(rates)
    before = max((threads for threads in rates if threads < n), default=n)
    return rates[n] / rates[before] >= 1 + _MIN_GAIN * (n / before - 1)


def _more_advice(whole: Mapping[int, float], cpus: int, unit: str, longest: str) -> Advice:
    n = max(whole)
    sentence = f"only {counted(n, unit)} for {cpus} CPUs (most of the work is {longest})"
    setting = f"preprocess_threads={cpus}" if unit == "thread" else f"--workers {cpus}"
    return dataclasses.replace(_advice(TOO_FEW_THREADS, sentence, [Tip(f"more {unit}s: {setting}")]), threads=cpus)


def _is_machine_busy(decode_in_threads: Mapping[int, float]) -> bool:
    """Return True if even decoding alone gains nothing from the last threads: all it needs is a CPU for each."""
    return not _did_last_threads_help(decode_in_threads) and max(decode_in_threads.values()) < _GIL_BOUND_RATE


def _busy_machine_advice(decode_in_threads: Mapping[int, float]) -> Advice:
    most, fewest = max(decode_in_threads), min(decode_in_threads)
    rates = f"{_threads(most)} {decode_in_threads[most]:,.0f} images/s, {_threads(fewest)}"
    rates = f"{rates} {decode_in_threads[fewest]:,.0f}"
    sentence = f"other programs use the CPUs: more threads do not speed up even decoding alone ({rates})"
    return _advice(BUSY_MACHINE, sentence, [Tip("again when nothing else runs")])


def _contention_advice(figures: IteratorFigures, possible: float) -> Advice:
    n, whole, best = figures.max_threads, figures.whole, best_threads(figures.whole)
    sentence = f"threads wait for one another: {n} deliver {whole[n]:,.0f} images/s"
    if whole[n] < _MIN_EFFICIENCY * possible:
        sentence += f" of the {possible:,.0f} they could do"
    elif best < n:
        sentence += f", {_threads(best)} {whole[best]:,.0f}"
    in_processes = figures.whole_in_processes
    if in_processes is not None and in_processes >= _MIN_PROCESS_SPEEDUP * whole[best]:
        words = f"backend=processes, {in_processes / whole[n]:.1f} x as fast"
        return _advice(CONTENTION, sentence, [Tip(words, {"backend": "processes"})])
    return _advice(CONTENTION, sentence, [Tip(f"fewer: preprocess_threads={best}")] if best < n else [])


def best_threads(whole: Mapping[int, float]) -> int:
    """Return the smallest number of threads (or workers) whose rate is within 3 % of the best one."""
    return min(threads for threads, rate in whole.items() if rate >= 0.97 * max(whole.values()))


def _decoding_tips(figures: IteratorFigures, _share: float) -> list[Tip]:
    tips = _smaller_size_tips(figures)
    fits = figures.memory is not None and figures.uncompressed_bytes <= _MAX_MEMORY_SHARE * figures.memory
    uncompressed = figures.decode_uncompressed
    if uncompressed is not None and fits and uncompressed >= _MIN_SPEEDUP * figures.decode:
        times, size = uncompressed / figures.decode, figures.uncompressed_bytes
        bytes_ = f"{size / 1e9:,.3g} GB" if size > 1e9 else f"{size / 1e6:,.1f} MB"
        tips.append(Tip(f"uncompressed records (pack encoding=.bmp: {bytes_}, decoded {times:.1f} x as fast)"))
    return tips


def _augmenting_tips(figures: IteratorFigures, share: float) -> list[Tip]:
    tips = _opencv_tips(figures.engine, figures.augment, figures.augment_with_opencv, "augments")
    if figures.is_resized:
        if share >= _MIN_RESIZE_SHARE and not figures.has_opencv:
            tips.append(_INSTALL_OPENCV)
        tips += _smaller_size_tips(figures)
    return tips


def _normalising_tips(figures: IteratorFigures, _share: float) -> list[Tip]:
    if figures.normalise_to_uint8 is None or figures.normalise_to_uint8 < _MIN_SPEEDUP * figures.normalise:
        return []
    times = figures.normalise_to_uint8 / figures.normalise
    return [Tip(f"dtype=uint8, which is written {times:.1f} x as fast", {"dtype": "uint8"})]


_STAGE_TIPS = {DECODING: _decoding_tips, AUGMENTING: _augmenting_tips, NORMALISING: _normalising_tips}


def _opencv_tips(engine: str, current: float, with_opencv: float | None, verb: str) -> list[Tip]:
    if engine == "opencv" or with_opencv is None or with_opencv < _MIN_SPEEDUP * current:
        return []
    return [Tip(f"engine=opencv, which {verb} {with_opencv / current:.1f} x as fast", {"engine": "opencv"})]


def _smaller_size_tips(figures: IteratorFigures) -> list[Tip]:
    """Advise a smaller size if images are stored much larger than they are needed."""
    if not figures.needed_side or figures.stored_side < _OVERSIZE_FACTOR * figures.needed_side:
        return []
    return [Tip(f"a smaller size at pack time (resize={figures.needed_side}, not {figures.stored_side})")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackFigures:
    """The measured figures of packing.

    * *read*, *write*, *decode*, *resize*, *encode*: rates of the stages with one worker, None for those left out.
    * *whole*: rates by number of workers; *spread* is that with the most workers.
    * *source*: where the images are read from.
    * *resize_and_encode_with_opencv*, *decode_draft*: rates of alternatives, None unless measured.
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
    resize_and_encode_with_opencv: float | None = None
    decode_draft: float | None = None
    has_opencv: bool = True
    engine: str = "opencv"


def pack_advice(figures: PackFigures) -> Advice:
    """Return what limits packing with the most workers that were measured."""
    return _with_spread_warning(_pack_advice(figures), figures.spread)


def _pack_advice(figures: PackFigures) -> Advice:
    n = max(figures.whole)
    rates = {DECODING: figures.decode, RESIZING: figures.resize, ENCODING: figures.encode}
    times = {name: 1 / rate for name, rate in rates.items() if rate is not None}
    work, reading, writing = sum(times.values()) / n, 1 / figures.read, 1 / figures.write
    # Only the work is divided by the workers: one process writes for all of them, and all read from one disk.
    if writing >= work and writing >= reading:
        return _advice(WRITING, f"writing: the disk takes {figures.write:,.0f} images/s", [_FASTER_DISK])
    if figures.source != MEMORY and reading >= work and figures.whole[n] <= _CACHED_FACTOR * figures.read:
        sentence = f"reading: {_SOURCES[figures.source]} {figures.read:,.0f} images/s"
        return _advice(READING, sentence, [_FASTER_DISK])
    times[READING] = reading
    limit = _longest(times)
    if _are_more_worth_trying(figures.whole, figures.cpus):
        return _more_advice(figures.whole, figures.cpus, "worker", limit)
    share = times[limit] / sum(times.values())
    workers = f"{counted(n, 'worker')}{_per_cpu(n, figures.cpus)}"
    return _advice(limit, f"{limit} takes {share:.0%} of the work of {workers}", _pack_tips(figures, limit, share))


def _pack_tips(figures: PackFigures, limit: str, share: float) -> list[Tip]:
    tips: list[Tip] = []
    draft = figures.decode_draft
    if limit == DECODING and figures.decode and draft and draft >= _MIN_SPEEDUP * figures.decode:
        words = f"draft=1, which decodes {draft / figures.decode:.1f} x as fast but gives other pixels"
        tips.append(Tip(words, {"draft": "1"}))
    if limit in (RESIZING, ENCODING) and figures.resize and figures.encode:
        current = 1 / (1 / figures.resize + 1 / figures.encode)
        tips += _opencv_tips(figures.engine, current, figures.resize_and_encode_with_opencv, "resizes and encodes")
        if share >= _MIN_RESIZE_SHARE and not figures.has_opencv:
            tips.append(_INSTALL_OPENCV)
    return tips


def _with_spread_warning(advice: Advice, spread: float) -> Advice:
    """Return *advice*, with a warning if the runs differed much from one another."""
    if spread <= _MAX_SPREAD:
        return advice
    warning = f"; but runs differed by {spread:.0%}: measure again when nothing else runs"
    return dataclasses.replace(advice, sentence=advice.sentence + warning)


def _longest(times: Mapping[str, float]) -> str:
    return max(times, key=lambda name: times[name])


def _threads(n: int) -> str:
    return f"{n} threads" if n > 1 else "one thread"


def _per_cpu(n: int, cpus: int) -> str:
    return ", one for each CPU" if n == cpus else ""


def _advice(limit: str, sentence: str, tips: list[Tip]) -> Advice:
    """Return the advice with *sentence*, extended by the words and keys of *tips*."""
    if tips:
        sentence = f"{sentence}; try {' or '.join(tip.words for tip in tips)}"
    return Advice(limit, sentence, {key: value for tip in tips for key, value in tip.keys.items()})
