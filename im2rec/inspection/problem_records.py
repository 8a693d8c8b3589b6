"""The records with which a survey finds something wrong: the first of each kind, and in which words they are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from im2rec.errors import counted
from im2rec.format.irheader import BAD_LABELS, HEADER_BYTES, SHORT_PAYLOAD
from im2rec.format.recordio import Source, read_start
from im2rec.images.signatures import NOT_AN_IMAGE
from im2rec.inspection.report import MAX_PROBLEM_RECORDS, ProblemRecord
from im2rec.inspection.set_records import NO_CONTENT, SetRecords
from im2rec.storage.foreign import START_BYTES, content_kind
from im2rec.storage.index_match import FoundRecords

DOUBTFUL, NO_IMAGE = "doubtful", "without an image"
UNREADABLE, NOT_FINITE = "unreadable image header", "label that is not finite"


class OddRecords:
    """The records with a problem: ``counts`` of each kind, and the ordinals of the first of each with a detail."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: dict[str, list[tuple[int, str]]] = {}

    def add(self, problem: str, ordinals: Sequence[int], details: Sequence[str] = ()) -> None:
        """Count further records with *problem*, by ascending ordinals; *details* are sentences on them, or none."""
        if not len(ordinals):
            return
        self.counts[problem] += len(ordinals)
        first = self._first.setdefault(problem, [])
        some = ordinals[: MAX_PROBLEM_RECORDS - len(first)]
        first += [(int(number), details[row] if details else "") for row, number in enumerate(some)]

    def add_earlier(self, problem: str, ordinals: Sequence[int]) -> None:
        """Count records with *problem* whose ordinals may lie before those that were added, and have no detail."""
        known = [number for number, _ in self._first.pop(problem, [])]
        count = self.counts.pop(problem, 0) + len(ordinals)
        self.add(problem, sorted([*known, *ordinals[:MAX_PROBLEM_RECORDS]]))
        self.counts[problem] = count

    def listed(self, file: Source, records: SetRecords, found: FoundRecords, *, has_ids: bool) -> list[ProblemRecord]:
        """Return the first records of each kind, with id and offset, and what those hold that are no images.

        *records* and *found* are those of the whole *file*; without *has_ids* the records have no image headers.
        """
        return [
            ProblemRecord(
                record=number,
                offset=int(found.offsets[number]),
                id=int(found.ids[number]) if has_ids and _has_id(records, number, problem) else None,
                problem=problem,
                detail=(_held(file, records, found, number) if problem == NOT_AN_IMAGE else detail) or None,
            )
            for problem in KINDS
            for number, detail in self._first.get(problem, ())
        ]


def _has_id(records: SetRecords, number: int, problem: str) -> bool:
    return problem == BAD_LABELS or bool(records.flags[number] != NO_CONTENT)


def _held(file: Source, records: SetRecords, found: FoundRecords, number: int) -> str:
    start = HEADER_BYTES + 4 * int(records.flags[number])
    return content_kind(read_start(file, int(found.offsets[number]), start + START_BYTES)[start:])


_SENTENCES = {
    NO_IMAGE: "without an image",
    SHORT_PAYLOAD: SHORT_PAYLOAD,
    BAD_LABELS: f"with {BAD_LABELS}",
    NOT_AN_IMAGE: f"with content that is {NOT_AN_IMAGE}",
    UNREADABLE: "with unreadable headers",
}
KINDS = DOUBTFUL, *_SENTENCES, NOT_FINITE


def sentences(counts: Counter[str], listed: Sequence[ProblemRecord]) -> list[str]:
    """Return a sentence on each kind of problem, with the first record of *listed* that has it.

    Doubtful records are reported with the damage, and labels that are not finite by ``LabelCounts.problems``.
    """
    lines = []
    for problem, words in _SENTENCES.items():
        first = next((bad for bad in listed if bad.problem == problem), None)
        if first is not None:
            noun = "image" if problem == UNREADABLE else "record"
            colon = ":" if counts[problem] == 1 else "; first:"
            lines.append(f"{counted(counts[problem], noun)} {words}{colon} {_named(first)}")
    return lines


def _named(bad: ProblemRecord) -> str:
    where = "" if bad.id is None else f"id {bad.id}, "
    between = " holds " if bad.problem == NOT_AN_IMAGE else ": "
    return f"record {bad.record} ({where}byte {bad.offset})" + (f"{between}{bad.detail}" if bad.detail else "")


def doubtful_text(count: int, listed: Sequence[ProblemRecord]) -> str:
    """Return how many records are doubtful, and which is the first."""
    first = next((bad for bad in listed if bad.problem == DOUBTFUL), None)
    if first is None:
        return f"{count:,} doubtful"
    where = f"record {first.record}" + ("" if first.id is None else f", id {first.id}")
    return f"{count:,} doubtful ({'' if count == 1 else 'first: '}{where})"
