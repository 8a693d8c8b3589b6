"""When so much is bad that the run should not go on."""

from __future__ import annotations

import dataclasses

from im2rec.errors import Im2RecError, ParameterError
from im2rec.packing.chunk import MISSING, Bad

DEFAULT = "10%"
SHARE_FROM_LINES = 100  # of fewer lines a share says little
ROOT_LINES = 10  # so many missing at the very start: the root is wrong


class TooManyBadError(Im2RecError):
    """More images are bad than the run was told to put up with."""


@dataclasses.dataclass(frozen=True)
class BadLimit:
    """The most bad images a run may have: *number* of them, or that many percent of the lines so far."""

    number: float
    percent: bool

    @classmethod
    def parse(cls, text: str) -> BadLimit:
        """Read ``"25"`` or ``"10%"``. Raises ParameterError."""
        word = text.strip()
        try:
            limit = cls(float(word.removesuffix("%")) if word.endswith("%") else int(word), word.endswith("%"))
        except ValueError:
            limit = cls(-1, percent=False)
        # Written so that NaN is refused too.
        if not limit.number >= 0 or (limit.percent and not limit.number <= 100):
            raise ParameterError(f"--max-bad={text} must be a number of images, or a percentage such as {DEFAULT}")
        return limit

    def passed(self, bad: int, lines: int) -> bool:
        """Whether *bad* images among *lines* lines are too many."""
        if self.percent:
            return lines >= SHARE_FROM_LINES and 100 * bad > self.number * lines
        return bad > self.number


class BadCount:
    """Bad images in list order, held against a limit line by line: the same line stops the run however it is cut."""

    def __init__(self, limit: BadLimit) -> None:
        self.limit = limit
        self.lines = self.bad = 0
        self._missing = 0

    def add(self, good: bool, bad: Bad | None) -> None:
        """Count one line. Raises TooManyBadError."""
        self.lines += 1
        if good or bad is None:
            return
        self.bad += 1
        self._missing += bad.reason == MISSING
        if self.lines == self._missing == ROOT_LINES:
            problem = f"the first {ROOT_LINES} images are all missing, {bad.path} for one"
            raise TooManyBadError(problem, hint="is ROOT the folder that the paths of the list start from?")
        if self.limit.passed(self.bad, self.lines):
            shown = f"{self.limit.number:g}%" if self.limit.percent else f"{self.limit.number:g}"
            problem = (
                f"line {bad.line}: {self.bad:,} of {self.lines:,} images are bad, more than --max-bad {shown} allows"
            )
            raise TooManyBadError(
                f"{problem}; this one: {bad.path or 'the line'}: {bad.detail}", hint="raise --max-bad to go on"
            )
