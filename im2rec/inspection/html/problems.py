"""The part of a report on problems: damage, failures and what does not fit, each with its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from im2rec.errors import counted, human_size
from im2rec.inspection.check_rows import changed_text
from im2rec.inspection.html.page import Child, element, foreign, section, table
from im2rec.inspection.report import Survey

MAX_LISTED = 200  # of a kind; a report stays small and is read by people
_MOST_OPEN = 25  # rows of a list that is shown at once; of a longer one the headline
_MOST_REASONS = 5  # in the headline, the most common ones


def problems_section(summary: Survey, list_all: str) -> Element | None:
    """Return the part on everything that is wrong in *summary*; None if nothing is.

    *list_all* is the command that lists all of what is too much for a page.
    """
    found = [
        _sentences(summary),
        _damage(summary, list_all),
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
    return _listed(
        title, ("first byte", "end", "size", "records before", "problem"), rows, summary.damaged_ranges, list_all
    )


def _failures(summary: Survey, list_all: str) -> Element | None:
    failures = summary.verification.failures if summary.verification is not None else []
    rows = [
        (
            f"{bad.record}",
            "" if bad.id is None else f"{bad.id}",
            f"{bad.offset:,}",
            foreign(bad.reason),
            foreign(bad.detail),
        )
        for bad in failures[:MAX_LISTED]
    ]
    reasons = Counter(bad.reason for bad in failures).most_common(_MOST_REASONS)
    title = counted(len(failures), "image that does not decode", "images that do not decode")
    title += f": {', '.join(f'{count:,} {reason}' for reason, count in reasons)}"
    return _listed(title, ("record", "id", "byte", "reason", "detail"), rows, len(failures), list_all)


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
    title: str, head: Sequence[str], rows: Sequence[Sequence[Child]], count: int, list_all: str
) -> Element | None:
    """Return *rows*, the first of *count*, to open and close; None if there are none."""
    if not rows:
        return None
    more = count - len(rows)
    rest = element("p", f"and {more:,} more, which ", element("code", list_all), " lists") if more else None
    return element(
        "details",
        element("summary", title),
        table(head, rows, title, f"the first {len(rows):,}" if more else ""),
        rest,
        open="" if len(rows) <= _MOST_OPEN else None,
    )
