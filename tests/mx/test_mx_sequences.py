"""im2rec.mx gives what MXNet 1.9.1 gave in 300 random sequences of calls, but where MXNet has a bug of the list below.

The results of MXNet are recorded in ``tests/golden/mx/sequences.txt``. Bytes of files, payloads and pixels of
PNG, BMP and the few JPEGs of ``tests/golden/mx/images`` are compared exactly; of an encoded PNG only its pixels, as
versions of OpenCV may compress differently. Of an error it counts that it is raised, and its class if it is in
``CAUGHT``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mx.sequences import Call, calls_digest, results, sequence

RECORDING = Path(__file__).parent.parent / "golden" / "mx" / "sequences.txt"

# Where im2rec.mx differs from MXNet on purpose: a number is a section of MXNet's bugs and limits that the user meets.
DIFFERENCES = {
    "8.1": "pickling a reader closes it; here it stays open, where it was",
    "13.1": "a wrong offset in an index is an error, or None; here the record that other lines show, or an error",
    "13.3": "a record that is cut between two of its parts is silently nothing; here it is an error",
    "13.4": "after the end was read once, reads by key give None until a reset; here the record",
    "13.8": "an index with a blank line, or a blank for a TAB, cannot be opened; here it can",
    "13.12": "reset of a writer, and pickling one, empties its file; here both are refused",
    "label item": "an item of a label vector is numpy.float32, which torch takes no more as an int; here float64",
}


def recorded() -> dict[int, list[str]]:
    """Return the results of each sequence, with the digest of its calls before them."""
    sequences: dict[int, list[str]] = {}
    for line in RECORDING.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            _, seed, digest = line.split()
            sequences[int(seed)] = [digest]
        else:
            sequences[max(sequences)].append(line)
    return sequences


# Errors that a script may catch: a missing key, the end of an array in a loop, a name that is not there.
CAUGHT = {"KeyError", "IndexError", "AttributeError"}

RECORDED = recorded()


def wrong(call: Call, result: str, in_mxnet: str) -> str:
    """Return what is wrong with *result* of im2rec.mx, or an empty text."""
    expected = call.ours if call.differs else in_mxnet
    if expected.startswith("raises"):
        right = result.startswith("raises") and CAUGHT.intersection(expected.split()) <= set(result.split())
    else:
        right = result == expected
    return "" if right else f"{expected!r} expected, {result!r} given"


def test_the_recording_is_of_300_sequences_of_these_calls() -> None:
    assert list(range(300)) == list(RECORDED)
    assert [digest for digest, *_ in RECORDED.values()] == [calls_digest(sequence(seed)) for seed in RECORDED]


def test_each_difference_from_mxnet_is_in_the_recording() -> None:
    seen = set()
    for seed, (_, *lines) in RECORDED.items():
        for call, in_mxnet in zip(sequence(seed), lines, strict=True):
            if call.differs:
                assert wrong(call, in_mxnet, in_mxnet), f"sequence {seed}: MXNet has no bug {call.differs} in {call}"
                seen.add(call.differs)
    assert set(DIFFERENCES) == seen


@pytest.mark.parametrize("seed", RECORDED)
def test_a_random_sequence_of_calls_gives_the_results_of_mxnet(seed: int, tmp_path: Path) -> None:
    _, *lines = RECORDED[seed]
    ours = results("im2rec.mx", seed, tmp_path / "files")
    found = {
        number: (f"{call.function}: {problem}")
        for number, (call, result, line) in enumerate(zip(sequence(seed), ours, lines, strict=True))
        if (problem := wrong(call, result, line))
    }
    assert {} == found
