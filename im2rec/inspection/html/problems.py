"""The part of a report on problems: damage, failures and what does not fit, each with its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from im2rec.errors import counted, human_size
from im2rec.format.heads import MAGIC
from im2rec.inspection.check_rows import changed_text
from im2rec.inspection.html.page import Child, element, foreign, section, table
from im2rec.inspection.problem_records import DOUBTFUL
from im2rec.inspection.report import MAX_PROBLEM_RECORDS, ProblemRecord, Survey
from im2rec.selection.decoding import Failure

MAX_LISTED = 200  # of a kind; a report stays small and is read by people
_MOST_OPEN = 25  # rows of a list that is shown at once; of a longer one the headline
_MOST_REASONS = 5  # in the headline, the most common ones
_PLACE = "record", "id", "byte"  # columns
_ABOUT_RANGES = (
    "A damaged range is a piece of the file in which no whole record was found: its bytes were overwritten or are"
    f" missing. Every record begins with the four bytes {MAGIC.hex(' ')}, the magic. The records that lay in the range"
    " are lost; all others can still be read."
)
_ABOUT_DOUBTFUL = (
    "A doubtful record ends where damage begins, and nothing proves that it is whole: the end of its image may be"
    " missing."
)


def problems_section(summary: Survey, list_all: str) -> Element | None:
    """Return the part on everything that is wrong in *summary*; None if nothing is.

    *list_all* is the command that lists all of what is too much for a page.
    """
    found = [
        _sentences(summary),
        _damage(summary, list_all),
        _records(summary, list_all),
        _failures(summary, list_all),
        _profile(summary, list_all),
        _changed(summary, list_all),
    ]
    shown = [part for part in found if part is not None]
    return section("problems", "Problems", *shown) if shown else None


def notes_section(summary: Survey) -> Element | None:
    """Return the part on warnings and on facts that are no faults; None if there are none."""
    notes = [*summary.warnings, *(summary.insightface.remarks if summary.insightface is not None else [])]
    return section("notes", "Notes", _list(notes)) if notes else None


def _sentences(summary: Survey) -> Element | None:
    sentences = list(summary.problems)
    if summary.index.problem:
        sentences.append(f"{summary.index.path}: {summary.index.problem}")
    if summary.index.moved:
        sentences.append(
            f"{summary.index.path}: {counted(summary.index.moved, 'record')} elsewhere in the file than it says"
        )
    if summary.digest_check is not None and summary.digest_check.problem:
        sentences.append(f"{summary.digest_check.path}: {summary.digest_check.problem}")
    return _list(sentences) if sentences else None


def _list(sentences: Iterable[str]) -> Element:
    return element("ul", *(element("li", foreign(sentence)) for sentence in sentences))


def _damage(summary: Survey, list_all: str) -> Element | None:
    rows = [
        (
            f"{bad.start:,}",
            f"{bad.end:,}",
            human_size(bad.end - bad.start),
            f"{bad.records_before:,}",
            foreign(bad.problem),
        )
        for bad in summary.damage[:MAX_LISTED]
    ]
    title = f"{counted(summary.damaged_ranges, 'damaged range')}, {human_size(summary.damaged_bytes)} in all"
    names = "first byte", "end", "size", "records before", "problem"
    about = element("p", _ABOUT_RANGES)
    if summary.records:
        about = element("p", f"{_ABOUT_RANGES} ", element("code", "im2rec recover"), " saves these to a new file.")
    return _listed(title, names, rows, summary.damaged_ranges, list_all, about)


def _records(summary: Survey, list_all: str) -> Element | None:
    """Return the records with a problem, but for those that are among the images that do not decode."""
    failed = {bad.record for bad in summary.verification.failures} if summary.verification is not None else set()
    found = [bad for bad in summary.problems_by_record if bad.record not in failed or bad.problem == DOUBTFUL]
    rows = [(*_place(bad), bad.problem, foreign(bad.detail or "")) for bad in found[:MAX_LISTED]]
    kinds = Counter(bad.problem for bad in found)
    first = "the first records with a problem" if max(kinds.values(), default=0) == MAX_PROBLEM_RECORDS else ""
    title = first or counted(len(found), "record with a problem", "records with a problem")
    title += f": {', '.join(f'{count:,} {problem}' for problem, count in kinds.items())}"
    about = element("p", _ABOUT_DOUBTFUL) if DOUBTFUL in kinds else None
    return _listed(title, (*_PLACE, "problem", "what it is"), rows, len(found), list_all, about)


def _place(bad: ProblemRecord | Failure) -> tuple[str, str, str]:
    """Return the cells below ``_PLACE``."""
    return f"{bad.record}", "" if bad.id is None else f"{bad.id}", f"{bad.offset:,}"


def _failures(summary: Survey, list_all: str) -> Element | None:
    failures = summary.verification.failures if summary.verification is not None else []
    rows = [(*_place(bad), foreign(bad.reason), foreign(bad.detail)) for bad in failures[:MAX_LISTED]]
    reasons = Counter(bad.reason for bad in failures).most_common(_MOST_REASONS)
    title = counted(len(failures), "image that does not decode", "images that do not decode")
    title += f": {', '.join(f'{count:,} {reason}' for reason, count in reasons)}"
    return _listed(title, (*_PLACE, "reason", "detail"), rows, len(failures), list_all)


def _profile(summary: Survey, list_all: str) -> Element | None:
    if summary.profile is None:
        return None
    rows = [
        (
            "" if bad.record is None else f"{bad.record}",
            "" if bad.key is None else f"{bad.key}",
            foreign(bad.rule),
            foreign(bad.detail),
        )
        for bad in summary.profile.profile_failures[:MAX_LISTED]
    ]
    count = summary.profile.failed
    title = counted(count, "assumption of published readers fails", "assumptions of published readers fail")
    return _listed(title, ("record", "key", "assumption", "found"), rows, count, list_all)


def _changed(summary: Survey, list_all: str) -> Element | None:
    changed = summary.digest_check.changed if summary.digest_check is not None else []
    rows = [
        (f"{part.start:,}", f"{part.end:,}", foreign(changed_text(part).partition(": ")[2]))
        for part in changed[:MAX_LISTED]
    ]
    return _listed(
        counted(len(changed), "changed range"), ("first byte", "end", "records"), rows, len(changed), list_all
    )


def _listed(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Child]],
    count: int,
    list_all: str,
    about: Element | None = None,
) -> Element | None:
    """Return *rows*, the first of *count*, to open and close, with *about* below them; None if there are none."""
    if not rows:
        return None
    more = count - len(rows)
    rest = element("p", f"and {more:,} more, which ", element("code", list_all), " lists") if more else None
    return element(
        "details",
        element("summary", title),
        table(head, rows, title, f"the first {len(rows):,}" if more else ""),
        rest,
        about,
        open="" if len(rows) <= _MOST_OPEN else None,
    )
