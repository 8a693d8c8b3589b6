"""What bench advises: every sentence when the figures speak for it, and not when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from im2rec.bench.advice import (
    AUGMENTING,
    CROWDED,
    DECODING,
    ENCODING,
    HANDING_OVER,
    NORMALISING,
    READING,
    RESIZING,
    TOO_FEW,
    WRITING,
    IteratorFigures,
    PackFigures,
    best_threads,
    iterator_advice,
    pack_advice,
)
from im2rec.bench.read_speed import DISK, MEMORY, UNKNOWN


def feed(**given: Any) -> IteratorFigures:
    """Two threads on two CPUs, bound by decoding, with nothing to try."""
    figures: dict[str, Any] = {
        "read": 1e9,
        "decode": 2000.0,
        "augment": 1e9,
        "normalise": 10_000.0,
        "decode_in_threads": {1: 2000.0, 2: 4000.0},
        "whole": {1: 1600.0, 2: 3100.0},
        "cpus": 2,
        "stored_side": 256,
        "enough_side": 256,
        "bytes_per_image": 40_000.0,
        "memory": 8_000_000_000,
    }
    return IteratorFigures(**{**figures, **given})


def said(**given: Any) -> tuple[str, str]:
    advice = iterator_advice(feed(**given))
    return advice.limit, advice.sentence


BUSY = "decoding takes 83% of the work of 2 threads, one for each CPU"


def test_decoding_is_the_limit_and_nothing_is_advised_without_a_reason() -> None:
    assert (DECODING, BUSY) == said()


def test_a_smaller_size_is_advised_where_images_are_stored_larger_than_needed() -> None:
    tip = f"{BUSY}; try a smaller size at pack time (resize=256, not 480)"

    assert (DECODING, tip) == said(stored_side=480)
    assert (DECODING, BUSY) == said(stored_side=319)
    assert (DECODING, BUSY) == said(stored_side=480, enough_side=0)


def test_uncompressed_records_are_advised_where_they_were_faster_and_fit_into_memory() -> None:
    tip = f"{BUSY}; try uncompressed records (pack encoding=.bmp: 3 GB, decoded 5.0 x as fast)"
    size = 3_000_000_000

    assert (DECODING, tip) == said(uncompressed=10_000.0, uncompressed_bytes=size)
    assert (DECODING, BUSY) == said(uncompressed=2900.0, uncompressed_bytes=size)
    assert (DECODING, BUSY) == said(uncompressed=10_000.0, uncompressed_bytes=size, memory=5_000_000_000)
    assert (DECODING, BUSY) == said(uncompressed=10_000.0, uncompressed_bytes=size, memory=None)
    assert "encoding=.bmp: 30.0 MB," in said(uncompressed=10_000.0, uncompressed_bytes=30_000_000)[1]


def test_several_things_to_try_are_one_sentence() -> None:
    _, sentence = said(stored_side=480, uncompressed=10_000.0, uncompressed_bytes=10**9)

    assert "; try a smaller size at pack time (resize=256, not 480) or uncompressed records (" in sentence


SLOW_DISK: dict[str, Any] = {"read": 100.0, "source": DISK, "whole": {1: 90.0, 2: 95.0}}


def test_a_disk_that_gives_less_than_the_cpus_could_do_is_the_limit() -> None:
    sentence = "reading: the disk gives 4 MB/s, 100 images/s, where the CPUs could do 3,333; try a faster disk"

    assert (READING, sentence) == said(**SLOW_DISK)
    assert (
        sentence.replace("the disk gives", "comes, from wherever it is,") == said(**SLOW_DISK | {"source": UNKNOWN})[1]
    )
    assert said(**SLOW_DISK, stored_side=480)[1].endswith(
        "a faster disk or a smaller size at pack time (resize=256, not 480)"
    )


def test_no_faster_disk_is_advised_for_memory_or_for_one_that_keeps_up() -> None:
    assert READING == said(**SLOW_DISK | {"source": MEMORY, "whole": {2: 95.0}})[0]
    assert "disk" not in said(**SLOW_DISK | {"source": MEMORY, "whole": {2: 95.0}})[1]
    assert (DECODING, BUSY) == said(source=DISK, read=5000.0)
    assert (DECODING, BUSY) == said(source=DISK, read=2000.0)  # a file that soon is in memory: 3,100 were delivered


def test_more_threads_are_advised_while_there_are_cpus_and_more_have_helped() -> None:
    few = "only 2 threads for 8 CPUs (most of the work is decoding); try more threads: preprocess_threads=8"
    one = "only 1 thread for 8 CPUs (most of the work is decoding); try more threads: preprocess_threads=8"

    assert (TOO_FEW, few) == said(cpus=8)
    assert (TOO_FEW, one) == said(cpus=8, decode_in_threads={1: 2000.0}, whole={1: 1600.0})
    assert 8 == iterator_advice(feed(cpus=8)).threads
    assert (DECODING, BUSY) == said(cpus=2)
    assert TOO_FEW != said(cpus=8, whole={1: 3000.0, 2: 3100.0})[0]
    assert TOO_FEW != said(cpus=8, source=DISK, read=3300.0)[0]
    assert (TOO_FEW, few) == said(cpus=8, source=DISK, read=9000.0)


def test_threads_that_wait_for_one_another_are_told_and_fewer_advised_where_they_do_as_well() -> None:
    waiting = "threads wait for one another: 4 deliver 3,000 images/s of the 6,667 they could do"
    figures: dict[str, Any] = {"decode_in_threads": {1: 2000.0, 4: 8000.0}, "cpus": 4}

    assert (HANDING_OVER, f"{waiting}; try fewer: preprocess_threads=1") == said(
        **figures, whole={1: 2950.0, 4: 3000.0}
    )
    assert (HANDING_OVER, waiting) == said(**figures, whole={1: 1600.0, 4: 3000.0})
    assert HANDING_OVER != said(**figures, whole={1: 1600.0, 4: 5000.0})[0]
    slower = "threads wait for one another: 2 deliver 3,050 images/s, one thread 3,100; try fewer: preprocess_threads=1"
    assert (HANDING_OVER, slower) == said(whole={1: 3100.0, 2: 3050.0})


def test_a_machine_that_is_busy_with_other_things_is_told_from_threads_that_wait() -> None:
    busy: dict[str, Any] = {"decode_in_threads": {1: 2000.0, 2: 2100.0}, "whole": {1: 1600.0, 2: 1650.0}}
    sentence = (
        "other programs have the CPUs, as even decoding alone gains nothing: 2 threads 2,100 images/s, one thread"
        " 2,000; try again when nothing else runs"
    )

    assert (CROWDED, sentence) == said(**busy)
    assert HANDING_OVER == said(**busy, jpegs=False)[0]  # of other kinds decoding may hold the interpreter's lock
    assert CROWDED != said(**busy | {"cpus": 1})[0]
    assert CROWDED != said(whole={1: 1600.0, 2: 1650.0})[0]
    fast = {"decode": 20_000.0, "decode_in_threads": {1: 20_000.0, 2: 21_000.0}}  # so small that the lock counts
    assert HANDING_OVER == said(**busy | fast)[0]


def test_processes_are_advised_where_threads_wait_and_processes_were_faster() -> None:
    slow: dict[str, Any] = {"whole": {1: 3100.0, 2: 3050.0}}
    tip = "images/s, one thread 3,100; try backend=processes, 1.9 x as fast"

    assert said(**slow, by_processes=5795.0)[1].endswith(tip)
    assert {"backend": "processes"} == iterator_advice(feed(**slow, by_processes=5795.0)).keys
    assert "processes" not in said(**slow, by_processes=3500.0)[1]
    assert (DECODING, BUSY) == said(by_processes=1e9)


def test_runs_that_differ_much_prove_no_waiting_and_are_told() -> None:
    limit, sentence = said(whole={1: 1600.0, 2: 1650.0}, spread=0.5)

    assert (DECODING, f"{BUSY}; but runs differed by 50%: measure again when nothing else runs") == (limit, sentence)
    assert BUSY == said(spread=0.2)[1]


AUGMENT: dict[str, Any] = {"augment": 500.0, "whole": {1: 360.0, 2: 700.0}, "engine": "pillow", "is_resized": True}


def test_opencv_is_advised_where_it_was_faster_at_what_takes_longest() -> None:
    busy = "augmenting takes 77% of the work of 2 threads, one for each CPU"

    assert (AUGMENTING, f"{busy}; try engine=opencv, 3.0 x as fast at it") == said(**AUGMENT, by_opencv=1500.0)
    assert {"engine": "opencv"} == iterator_advice(feed(**AUGMENT, by_opencv=1500.0)).keys
    assert (AUGMENTING, busy) == said(**AUGMENT, by_opencv=600.0)
    assert (AUGMENTING, busy) == said(**AUGMENT | {"engine": "opencv"})
    assert (DECODING, BUSY) == said(by_opencv=1e9, engine="pillow")


def test_opencv_is_to_be_installed_where_it_is_missing_and_much_is_resized() -> None:
    tip = "engine=opencv (pip install opencv-python-headless)"

    assert said(**AUGMENT, opencv_installed=False)[1].endswith(f"; try {tip}")
    assert tip not in said(**AUGMENT | {"is_resized": False}, opencv_installed=False)[1]
    assert tip not in said(opencv_installed=False, engine="pillow")[1]


def test_images_that_are_resized_in_every_epoch_can_be_stored_smaller() -> None:
    assert said(**AUGMENT, stored_side=480)[1].endswith("; try a smaller size at pack time (resize=256, not 480)")
    assert "pack" not in said(**AUGMENT | {"is_resized": False}, stored_side=480)[1]


def test_uint8_is_advised_where_it_was_faster_at_what_takes_longest() -> None:
    slow: dict[str, Any] = {"normalise": 500.0, "whole": {1: 380.0, 2: 750.0}}
    busy = "normalising takes 80% of the work of 2 threads, one for each CPU"

    assert (NORMALISING, f"{busy}; try dtype=uint8, 4.0 x as fast at it") == said(**slow, in_bytes=2000.0)
    assert {"dtype": "uint8"} == iterator_advice(feed(**slow, in_bytes=2000.0)).keys
    assert (NORMALISING, busy) == said(**slow, in_bytes=700.0)
    assert (DECODING, BUSY) == said(in_bytes=1e9)


def test_the_best_number_of_threads_is_the_least_that_comes_near_the_best() -> None:
    assert 4 == best_threads({1: 100.0, 2: 190.0, 4: 300.0, 8: 305.0})
    assert 1 == best_threads({1: 100.0, 2: 60.0})


# Packing.


def packed(**given: Any) -> tuple[str, str]:
    advice = pack_advice(pack_figures(**given))
    return advice.limit, advice.sentence


def pack_figures(**given: Any) -> PackFigures:
    """Two workers on two CPUs, bound by decoding, with nothing to try."""
    figures: dict[str, Any] = {
        "read": 40_000.0,
        "write": 20_000.0,
        "decode": 1000.0,
        "resize": 4000.0,
        "encode": 3000.0,
        "whole": {1: 600.0, 2: 1150.0},
        "cpus": 2,
    }
    return PackFigures(**{**figures, **given})


PACKING = "decoding takes 62% of the work of 2 workers, one for each CPU"


def test_of_packing_the_longest_stage_is_named() -> None:
    assert (DECODING, PACKING) == packed()
    assert (RESIZING, "resizing takes 69% of the work of 2 workers, one for each CPU") == packed(resize=330.0)
    assert ENCODING == packed(encode=300.0)[0]


def test_a_disk_that_does_not_take_what_is_packed_is_the_limit() -> None:
    sentence = "writing: the disk takes 400 images/s; try a faster disk"

    assert (WRITING, sentence) == packed(write=400.0)
    assert (DECODING, PACKING) == packed(write=2000.0)
    assert WRITING == packed(decode=None, resize=None, encode=None)[0]


def test_a_disk_that_does_not_give_the_files_is_the_limit() -> None:
    sentence = "reading: the disk gives 300 images/s; try a faster disk"

    assert (READING, sentence) == packed(read=300.0, source=DISK, whole={1: 290.0, 2: 310.0})
    assert (DECODING, PACKING.replace("62%", "59%")) == packed(read=9000.0, source=DISK)
    assert "disk" not in packed(read=300.0, source=MEMORY, whole={1: 290.0, 2: 310.0})[1]
    assert READING == packed(read=900.0, source=DISK, decode=None, resize=None, encode=None, whole={2: 800.0})[0]


def test_more_workers_are_advised_while_there_are_cpus_and_more_have_helped() -> None:
    few = "only 2 workers for 8 CPUs (most of the work is decoding); try more workers: --workers 8"

    assert (TOO_FEW, few) == packed(cpus=8)
    assert TOO_FEW != packed(cpus=8, whole={1: 600.0, 2: 610.0})[0]


def test_draft_and_opencv_are_advised_where_they_were_faster() -> None:
    assert (DECODING, f"{PACKING}; try draft=1, 3.0 x as fast at it, with other pixels") == packed(in_draft=3000.0)
    assert {"draft": "1"} == pack_advice(pack_figures(in_draft=3000.0)).keys
    assert (DECODING, PACKING) == packed(in_draft=1100.0)
    slow: dict[str, Any] = {"resize": 400.0, "engine": "pillow"}
    assert packed(**slow, by_opencv=1059.0)[1].endswith("; try engine=opencv, 3.0 x as fast at it")
    assert "opencv" not in packed(**slow, by_opencv=400.0)[1]
    assert packed(**slow, opencv_installed=False)[1].endswith(
        "; try engine=opencv (pip install opencv-python-headless)"
    )
    assert "opencv" not in packed(engine="pillow", opencv_installed=False)[1]


@pytest.mark.parametrize("spread", [0.1, 0.6])
def test_of_packing_too_runs_that_differ_are_told(spread: float) -> None:
    assert (spread > 0.3) == packed(spread=spread)[1].endswith("measure again when nothing else runs")
