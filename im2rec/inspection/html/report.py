"""Write the HTML report of a survey: one file without scripts and outside links, of less than two megabytes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from im2rec.errors import counted, human_size
from im2rec.inspection.distributions import Distributions
from im2rec.inspection.face_report import ProfileCheck
from im2rec.inspection.html.charts import Bar, bar_card, chart, images_text
from im2rec.inspection.html.labels import labels_section
from im2rec.inspection.html.page import document, element, facts, foreign, section, table
from im2rec.inspection.html.problems import notes_section, problems_section
from im2rec.inspection.html.thumbnails import row as row_of_images
from im2rec.inspection.html.thumbnails import sheet
from im2rec.inspection.image_sample import IdentityRows, sheet_heading
from im2rec.inspection.report import Survey
from im2rec.inspection.rows import damage_text, headline, summary_rows
from im2rec.inspection.set_rows import number, range_text
from im2rec.inspection.survey import Findings
from im2rec.inspection.verdict import Verdict, verdict_on, verdict_text
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.output import AtomicFile

_COLORS = {Verdict.PROBLEMS: "warn", Verdict.NO_IMAGES: "warn", Verdict.DAMAGED: "bad"}


class Origin(NamedTuple):
    """The *command* that makes a report, as it was typed, and the *version* of im2rec that runs it.

    *list_all* is the command that lists all of what is too much for a page, *following* the one to type next, or empty.
    """

    command: str
    version: str
    list_all: str
    following: str


def write_report(
    path: PathLike,
    out: PathLike,
    findings: Findings,
    origin: Origin,
    *,
    force: bool = False,
    max_pixels: int | None = None,
) -> None:
    """Write the report on the ``.rec`` at *path*, of which *findings* are the survey, to *out*.

    Up to 60 images are shown, of a face-recognition set a row for each identity. *max_pixels* limits their size,
    as in :func:`~im2rec.images.codec.decode`. Raises InputError, and OutputError if *out* exists and *force* is False.
    """
    summary, by_identity, found = findings
    with InputFile(path) as file:
        changed = _local_time(Path(path).stat().st_mtime)
        images = _images_section(file, summary, found, by_identity, max_pixels)
    page = document(
        f"{Path(path).name} - im2rec inspect",
        _header(summary),
        section(
            "summary",
            "Summary",
            facts([("damaged", damage_text(summary)), *summary_rows(summary, lists=False)], "Summary"),
        ),
        images,
        labels_section(summary, found),
        _sizes_section(summary, found),
        problems_section(summary, origin.list_all),
        _readers_section(summary.profile) if summary.profile is not None else None,
        notes_section(summary),
        _footer(summary, origin, changed),
    )
    with AtomicFile(out, force=force) as report:
        report.write(page)


def _header(summary: Survey) -> Element:
    verdict = verdict_on(summary)
    is_checked = summary.verification is not None
    words = verdict.value if verdict is not Verdict.SOUND or is_checked else "sound, not decoded"
    color = _COLORS.get(verdict, "good" if is_checked else "calm")
    has_problems = verdict in (Verdict.PROBLEMS, Verdict.DAMAGED)
    return element(
        "header",
        foreign(Path(summary.input).name, "h1"),
        element("p", f"{headline(summary)}; {summary.set_kind}", class_="muted"),
        element(
            "p",
            element("strong", words),
            foreign(verdict_text(summary)),
            element("a", "all problems", href="#problems") if has_problems else None,
            class_=f"verdict {color}",
        ),
    )


def _images_section(
    file: InputFile, summary: Survey, found: Distributions, by_identity: IdentityRows | None, max_pixels: int | None
) -> Element | None:
    if by_identity is not None:
        count = counted(by_identity.identities, "identity", "identities")
        parts: list[Element] = [element("p", f"{len(by_identity.rows)} of {count}, evenly spread", class_="muted")]
        for row in by_identity.rows:
            parts.append(foreign(sheet_heading(row, found.names), "h3"))
            parts.append(row_of_images(file, row.offsets, max_pixels))
        return section("images", "Images", *parts)
    if not found.shown:
        return None
    note = f"{len(found.shown):,} of {counted(summary.images, 'image')}, evenly spread"
    if len(found.shown) >= summary.images:
        note = "the only image" if summary.images == 1 else f"all {summary.images:,} images"
    tiles = sheet(file, found.shown, found.names, max_pixels)
    return section("images", "Images", element("p", note, class_="muted"), tiles)


def _sizes_section(summary: Survey, found: Distributions) -> Element | None:
    statistics, cards = summary.image_statistics, []
    if statistics.widths is not None and statistics.heights is not None:
        cards += [
            chart("Width", f"{range_text(statistics.widths, number)} pixels", found.widths, _pixels, images_text),
            chart("Height", f"{range_text(statistics.heights, number)} pixels", found.heights, _pixels, images_text),
        ]
        if found.aspects is not None:
            text = f"width by height, median {found.aspects.median:.3g}"
            cards.append(chart("Aspect ratio", text, found.aspects, _ratio, images_text))
    if found.content_bytes is not None:
        text = f"of all images, median {human_size(found.content_bytes.median)}"
        cards.append(chart("Bytes of an image", text, found.content_bytes, human_size, images_text))
    if statistics.jpeg_quality is not None:
        text = f"{range_text(statistics.jpeg_quality, number)}, estimated"
        cards.append(chart("JPEG quality", text, found.qualities, number, images_text))
    if statistics.by_channels:
        rows = [Bar(counted(channels, "channel"), count) for channels, count in sorted(statistics.by_channels.items())]
        cards.append(bar_card("Channels", rows))
    if summary.contents:
        cards.append(bar_card("Content", [Bar(*item) for item in summary.contents.items()], "of all records"))
    if not cards:
        return None
    cards.sort(key=lambda card: card.find("svg") is None)  # those of one line beside each other, behind the charts
    is_sample = statistics.sampled < summary.images
    looked_at = f"{counted(statistics.sampled, 'image')}, evenly spread" if is_sample else "all images"
    note = f"Sizes, channels and quality are from the headers of {looked_at}."
    note += " Those of all images are read with --all." if is_sample else ""
    shown = element("p", note, class_="muted") if statistics.sampled else None
    return section("sizes", "Sizes and contents", shown, element("div", *cards, class_="cards"))


def _pixels(edge: float) -> str:
    return f"{edge:g} px"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3g}"


def _readers_section(check: ProfileCheck) -> Element | None:
    if not check.readers:
        return None
    rows = [
        (
            foreign(reader.name),
            "yes" if reader.takes else "no",
            "" if reader.count is None else f"{reader.count:,}",
            foreign(reader.rule),
            foreign(reader.problem or ""),
        )
        for reader in check.readers
    ]
    head = "reader", "takes the set", "records", "keys that it reads", "problem"
    return section("readers", "Published readers", table(head, rows, f"Profile {check.name}"))


def _footer(summary: Survey, origin: Origin, changed: dt.datetime | None) -> Element:
    made = dt.datetime.now(dt.timezone.utc).astimezone()
    following = (
        [element("p", "To go on:"), element("pre", element("code", origin.following))] if origin.following else []
    )
    when = (", last changed ", _time(changed)) if changed is not None else ()
    return element(
        "footer",
        element("p", foreign(summary.input), f": {summary.size:,} bytes", *when),
        element("p", "Made by this command:"),
        element("pre", element("code", origin.command)),
        *following,
        element("p", f"im2rec {origin.version}, ", _time(made), class_="muted"),
        class_="small",
    )


def _local_time(seconds: float) -> dt.datetime | None:
    """Return the time *seconds* after 1970, which is that of a file; None where a calendar has no such year."""
    try:
        return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _time(moment: dt.datetime) -> Element:
    return element("time", moment.isoformat(" ", "seconds"), datetime=moment.isoformat())
