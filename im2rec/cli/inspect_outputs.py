"""The files that ``im2rec inspect`` writes: a contact sheet, and a report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from im2rec.inspection.html.report import Origin, write_report
from im2rec.inspection.image_sample import write_sheet
from im2rec.inspection.report import Survey
from im2rec.inspection.survey import Findings
from im2rec.storage.output import refuse_existing, refuse_same_file


class InspectOutputs(NamedTuple):
    """The paths of the *sheet* and of the *html* report, None where there is to be none."""

    sheet: Path | None
    html: Path | None
    force: bool

    def check(self, rec: Path, index: Path | bool | None) -> None:
        """Raise UsageError for a name with another ending than its own, OutputError for one that cannot be written.

        *rec* and its *index* are never written.
        """
        if self.sheet is not None and self.sheet.suffix.lower() != ".png":
            raise click.UsageError(f"--sheet {self.sheet}: must end in .png, as it is a PNG")
        if self.html is not None and self.html.suffix.lower() not in {".html", ".htm"}:
            raise click.UsageError(f"--html {self.html}: must end in .html, as it is a page")
        for path in filter(None, (self.sheet, self.html)):
            refuse_existing([path], force=self.force)
            for used in (rec, index):
                if isinstance(used, Path):
                    refuse_same_file(path, used)

    def write(
        self, rec: Path, index: Path | bool | None, findings: Findings, origin: Origin, *, max_pixels: int | None
    ) -> None:
        """Write the files that are asked for. Raises InputError, OutputError."""
        if self.sheet is not None:
            write_sheet(
                rec,
                self.sheet,
                index=index,
                force=self.force,
                max_pixels=max_pixels,
                by_identity=findings.rows,
                survey=findings.summary,
            )
        if self.html is not None:
            write_report(rec, self.html, findings, origin, force=self.force, max_pixels=max_pixels)


def output_rows(summary: Survey) -> list[tuple[str, str]]:
    """Return rows on the files that were written, or would be."""
    if summary.dry_run:
        return [("would write", ", ".join(filter(None, (summary.sheet, summary.html))))]
    return [("sheet", summary.sheet or ""), ("report", summary.html or "")]
