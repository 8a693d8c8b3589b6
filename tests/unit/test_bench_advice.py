"""The advice of bench: every sentence if the figures support it, and not if they do not."""

from __future__ import annotations

from typing import Any

import pytest

from im2rec.bench.advice import (
    AUGMENTING,
    BUSY_MACHINE,
    CONTENTION,
    DECODING,
    ENCODING,
    NORMALISING,
    READING,
    RESIZING,
    TOO_FEW_THREADS,
    WRITING,
    IteratorFigures,
    PackFigures,
    best_threads,
    iterator_advice,
    pack_advice,
)
from im2rec.bench.read_speed import DISK, MEMORY, UNKNOWN


def iterator_figures(**given: Any) -> IteratorFigures:
    """Return figures of two threads on two CPUs that are limited by decoding, with nothing to try."""
    figures: dict[str, Any] = {
        "read": 1e9,
        "decode": 2000.0,
        "augment": 1e9,
        "normalise": 10_000.0,
        "decode_in_threads": {1: 2000.0, 2: 4000.0},
        "whole": {1: 1600.0, 2: 3100.0},
        "cpus": 2,
        "stored_side": 256,
        "needed_side": 256,
        "bytes_per_image": 40_000.0,
        "memory": 8_000_000_000,
    }
    return IteratorFigures(**{**figures, **given})


def advised(**given: Any) -> tuple[str, str]:
    """Return limit and sentence of the advice for an iterator."""
    advice = iterator_advice(iterator_figures(**given))
    return advice.limit, advice.sentence


BUSY = "decoding takes 83% of the work of 2 threads, one for each CPU"


def test_the_longest_stage_is_the_limit_and_nothing_is_advised_without_a_reason() -> None:
    assert (DECODING, BUSY) == advised()


def test_a_smaller_size_is_advised_if_images_are_stored_much_larger_than_needed() -> None:
    tip = f"{BUSY}; try a smaller size at pack time (resize=256, not 480)"

    assert (DECODING, tip) == advised(stored_side=480)
    assert (DECODING, BUSY) == advised(stored_side=319)
    assert (DECODING, BUSY) == advised(stored_side=480, needed_side=0)


def test_uncompressed_records_are_advised_if_they_were_faster_and_fit_into_memory() -> None:
    tip = f"{BUSY}; try uncompressed records (pack encoding=.bmp: 3 GB, decoded 5.0 x as fast)"
    size = 3_000_000_000

    assert (DECODING, tip) == advised(decode_uncompressed=10_000.0, uncompressed_bytes=size)
    assert (DECODING, BUSY) == advised(decode_uncompressed=2900.0, uncompressed_bytes=size)
    assert (DECODING, BUSY) == advised(decode_uncompressed=10_000.0, uncompressed_bytes=size, memory=5_000_000_000)
    assert (DECODING, BUSY) == advised(decode_uncompressed=10_000.0, uncompressed_bytes=size, memory=None)
    assert "encoding=.bmp: 30.0 MB," in advised(decode_uncompressed=10_000.0, uncompressed_bytes=30_000_000)[1]


def test_several_tips_are_joined_in_one_sentence() -> None:
    _, sentence = advised(stored_side=480, decode_uncompressed=10_000.0, uncompressed_bytes=10**9)

    assert "; try a smaller size at pack time (resize=256, not 480) or uncompressed records (" in sentence


SLOW_DISK: dict[str, Any] = {"read": 100.0, "source": DISK, "whole": {1: 90.0, 2: 95.0}}


def test_reading_is_the_limit_if_the_disk_is_slower_than_the_cpus() -> None:
    sentence = "reading: the disk delivers 4 MB/s, 100 images/s, where the CPUs could do 3,333; try a faster disk"

    assert (READING, sentence) == advised(**SLOW_DISK)
    assert (
        sentence.replace("the disk delivers", "the source, disk or memory, delivers")
        == advised(**SLOW_DISK | {"source": UNKNOWN})[1]
    )
    assert advised(**SLOW_DISK, stored_side=480)[1].endswith(
        "a faster disk or a smaller size at pack time (resize=256, not 480)"
    )


def test_no_faster_disk_is_advised_for_memory_or_for_a_disk_that_keeps_up() -> None:
    assert READING == advised(**SLOW_DISK | {"source": MEMORY, "whole": {2: 95.0}})[0]
    assert "disk" not in advised(**SLOW_DISK | {"source": MEMORY, "whole": {2: 95.0}})[1]
    assert (DECODING, BUSY) == advised(source=DISK, read=5000.0)
    assert (DECODING, BUSY) == advised(source=DISK, read=2000.0)  # 3,100 were delivered: the file is in memory by now


def test_more_threads_are_advised_if_there_are_more_cpus_and_the_last_threads_helped() -> None:
    few = "only 2 threads for 8 CPUs (most of the work is decoding); try more threads: preprocess_threads=8"
    one = "only 1 thread for 8 CPUs (most of the work is decoding); try more threads: preprocess_threads=8"

    assert (TOO_FEW_THREADS, few) == advised(cpus=8)
    assert (TOO_FEW_THREADS, one) == advised(cpus=8, decode_in_threads={1: 2000.0}, whole={1: 1600.0})
    assert 8 == iterator_advice(iterator_figures(cpus=8)).threads
    assert (DECODING, BUSY) == advised(cpus=2)
    assert TOO_FEW_THREADS != advised(cpus=8, whole={1: 3000.0, 2: 3100.0})[0]
    assert TOO_FEW_THREADS != advised(cpus=8, source=DISK, read=3300.0)[0]
    assert (TOO_FEW_THREADS, few) == advised(cpus=8, source=DISK, read=9000.0)


def test_fewer_threads_are_advised_if_they_wait_for_one_another_and_fewer_do_as_well() -> None:
    waiting = "threads wait for one another: 4 deliver 3,000 images/s of the 6,667 they could do"
    figures: dict[str, Any] = {"decode_in_threads": {1: 2000.0, 4: 8000.0}, "cpus": 4}

    assert (CONTENTION, f"{waiting}; try fewer: preprocess_threads=1") == advised(
        **figures, whole={1: 2950.0, 4: 3000.0}
    )
    assert (CONTENTION, waiting) == advised(**figures, whole={1: 1600.0, 4: 3000.0})
    assert CONTENTION != advised(**figures, whole={1: 1600.0, 4: 5000.0})[0]
    slower = "threads wait for one another: 2 deliver 3,050 images/s, one thread 3,100; try fewer: preprocess_threads=1"
    assert (CONTENTION, slower) == advised(whole={1: 3100.0, 2: 3050.0})


def test_a_busy_machine_is_not_mistaken_for_threads_that_wait() -> None:
    busy: dict[str, Any] = {"decode_in_threads": {1: 2000.0, 2: 2100.0}, "whole": {1: 1600.0, 2: 1650.0}}
    sentence = (
        "other programs use the CPUs: more threads do not speed up even decoding alone (2 threads 2,100 images/s, one"
        " thread 2,000); try again when nothing else runs"
    )

    assert (BUSY_MACHINE, sentence) == advised(**busy)
    assert CONTENTION == advised(**busy, decode_releases_gil=False)[0]  # other decoders hold the GIL
    assert BUSY_MACHINE != advised(**busy | {"cpus": 1})[0]
    assert BUSY_MACHINE != advised(whole={1: 1600.0, 2: 1650.0})[0]
    fast = {"decode": 20_000.0, "decode_in_threads": {1: 20_000.0, 2: 21_000.0}}  # images so small that the GIL counts
    assert CONTENTION == advised(**busy | fast)[0]


def test_processes_are_advised_if_threads_wait_and_processes_were_faster() -> None:
    slow: dict[str, Any] = {"whole": {1: 3100.0, 2: 3050.0}}
    tip = "images/s, one thread 3,100; try backend=processes, 1.9 x as fast"

    assert advised(**slow, whole_in_processes=5795.0)[1].endswith(tip)
    assert {"backend": "processes"} == iterator_advice(iterator_figures(**slow, whole_in_processes=5795.0)).keys
    assert "processes" not in advised(**slow, whole_in_processes=3500.0)[1]
    assert (DECODING, BUSY) == advised(whole_in_processes=1e9)


def test_runs_that_differ_much_are_no_proof_of_waiting_and_add_a_warning() -> None:
    limit, sentence = advised(whole={1: 1600.0, 2: 1650.0}, spread=0.5)

    assert (DECODING, f"{BUSY}; but runs differed by 50%: measure again when nothing else runs") == (limit, sentence)
    assert BUSY == advised(spread=0.2)[1]


AUGMENT: dict[str, Any] = {"augment": 500.0, "whole": {1: 360.0, 2: 700.0}, "engine": "pillow", "is_resized": True}


def test_opencv_is_advised_if_augmenting_takes_longest_and_was_faster_with_it() -> None:
    busy = "augmenting takes 77% of the work of 2 threads, one for each CPU"

    assert (AUGMENTING, f"{busy}; try engine=opencv, which augments 3.0 x as fast") == advised(
        **AUGMENT, augment_with_opencv=1500.0
    )
    assert {"engine": "opencv"} == iterator_advice(iterator_figures(**AUGMENT, augment_with_opencv=1500.0)).keys
    assert (AUGMENTING, busy) == advised(**AUGMENT, augment_with_opencv=600.0)
    assert (AUGMENTING, busy) == advised(**AUGMENT | {"engine": "opencv"})
    assert (DECODING, BUSY) == advised(augment_with_opencv=1e9, engine="pillow")


def test_the_installation_of_opencv_is_advised_if_it_is_missing_and_resizing_takes_long() -> None:
    tip = "engine=opencv (pip install opencv-python-headless)"

    assert advised(**AUGMENT, has_opencv=False)[1].endswith(f"; try {tip}")
    assert tip not in advised(**AUGMENT | {"is_resized": False}, has_opencv=False)[1]
    assert tip not in advised(has_opencv=False, engine="pillow")[1]


def test_a_smaller_size_is_advised_if_images_are_resized_in_every_epoch() -> None:
    assert advised(**AUGMENT, stored_side=480)[1].endswith("; try a smaller size at pack time (resize=256, not 480)")
    assert "pack" not in advised(**AUGMENT | {"is_resized": False}, stored_side=480)[1]


def test_uint8_is_advised_if_normalising_takes_longest_and_uint8_was_faster() -> None:
    slow: dict[str, Any] = {"normalise": 500.0, "whole": {1: 380.0, 2: 750.0}}
    busy = "normalising takes 80% of the work of 2 threads, one for each CPU"

    assert (NORMALISING, f"{busy}; try dtype=uint8, which is written 4.0 x as fast") == advised(
        **slow, normalise_to_uint8=2000.0
    )
    assert {"dtype": "uint8"} == iterator_advice(iterator_figures(**slow, normalise_to_uint8=2000.0)).keys
    assert (NORMALISING, busy) == advised(**slow, normalise_to_uint8=700.0)
    assert (DECODING, BUSY) == advised(normalise_to_uint8=1e9)


def test_the_best_number_of_threads_is_the_smallest_within_3_percent_of_the_best_rate() -> None:
    assert 4 == best_threads({1: 100.0, 2: 190.0, 4: 300.0, 8: 305.0})
    assert 1 == best_threads({1: 100.0, 2: 60.0})


# Packing.


def advised_to_pack(**given: Any) -> tuple[str, str]:
    """Return limit and sentence of the advice for packing."""
    advice = pack_advice(pack_figures(**given))
    return advice.limit, advice.sentence


def pack_figures(**given: Any) -> PackFigures:
    """Return figures of two workers on two CPUs that are limited by decoding, with nothing to try."""
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


def test_the_longest_stage_is_the_limit_of_packing() -> None:
    assert (DECODING, PACKING) == advised_to_pack()
    assert (RESIZING, "resizing takes 69% of the work of 2 workers, one for each CPU") == advised_to_pack(resize=330.0)
    assert ENCODING == advised_to_pack(encode=300.0)[0]


def test_writing_is_the_limit_of_packing_if_the_disk_is_slower_than_the_workers() -> None:
    sentence = "writing: the disk takes 400 images/s; try a faster disk"

    assert (WRITING, sentence) == advised_to_pack(write=400.0)
    assert (DECODING, PACKING) == advised_to_pack(write=2000.0)
    assert WRITING == advised_to_pack(decode=None, resize=None, encode=None)[0]


def test_reading_is_the_limit_of_packing_if_the_disk_is_slower_than_the_workers() -> None:
    sentence = "reading: the disk delivers 300 images/s; try a faster disk"

    assert (READING, sentence) == advised_to_pack(read=300.0, source=DISK, whole={1: 290.0, 2: 310.0})
    assert (DECODING, PACKING.replace("62%", "59%")) == advised_to_pack(read=9000.0, source=DISK)
    assert "disk" not in advised_to_pack(read=300.0, source=MEMORY, whole={1: 290.0, 2: 310.0})[1]
    assert (
        READING == advised_to_pack(read=900.0, source=DISK, decode=None, resize=None, encode=None, whole={2: 800.0})[0]
    )


def test_more_workers_are_advised_if_there_are_more_cpus_and_the_last_workers_helped() -> None:
    few = "only 2 workers for 8 CPUs (most of the work is decoding); try more workers: --workers 8"

    assert (TOO_FEW_THREADS, few) == advised_to_pack(cpus=8)
    assert TOO_FEW_THREADS != advised_to_pack(cpus=8, whole={1: 600.0, 2: 610.0})[0]


def test_draft_and_opencv_are_advised_if_they_were_faster() -> None:
    assert (DECODING, f"{PACKING}; try draft=1, which decodes 3.0 x as fast but gives other pixels") == advised_to_pack(
        decode_draft=3000.0
    )
    assert {"draft": "1"} == pack_advice(pack_figures(decode_draft=3000.0)).keys
    assert (DECODING, PACKING) == advised_to_pack(decode_draft=1100.0)
    slow: dict[str, Any] = {"resize": 400.0, "engine": "pillow"}
    assert advised_to_pack(**slow, resize_and_encode_with_opencv=1059.0)[1].endswith(
        "; try engine=opencv, which resizes and encodes 3.0 x as fast"
    )
    assert "opencv" not in advised_to_pack(**slow, resize_and_encode_with_opencv=400.0)[1]
    assert advised_to_pack(**slow, has_opencv=False)[1].endswith(
        "; try engine=opencv (pip install opencv-python-headless)"
    )
    assert "opencv" not in advised_to_pack(engine="pillow", has_opencv=False)[1]


@pytest.mark.parametrize("spread", [0.1, 0.6])
def test_runs_of_packing_that_differ_much_add_a_warning(spread: float) -> None:
    assert (spread > 0.3) == advised_to_pack(spread=spread)[1].endswith("measure again when nothing else runs")
