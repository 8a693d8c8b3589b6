"""A terminal for tests of progress bars: what a command writes to it, and what its screen shows at any time."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import sys
import threading
from collections.abc import Iterator

import pytest

IS_POSIX = sys.platform != "win32"
needs_pty = pytest.mark.skipif(not IS_POSIX, reason="Windows has no pseudo terminals")

_END = b"\x1e"  # the record separator, which no command prints
_PIECE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|.", re.DOTALL)


class Terminal(io.StringIO):
    """A stderr that is a terminal of 80 columns."""

    def isatty(self) -> bool:
        """Return True."""
        return True

    @property
    def screen(self) -> Screen:
        """What it shows, and has shown."""
        return Screen(self.getvalue())


class Screen:
    """A screen of *columns* that shows *text*: ``lines`` at its end, without blanks behind them, and what was before.

    ``drawn`` is each line that was complete: before the cursor left it.
    """

    def __init__(self, text: str, columns: int = 80) -> None:
        self._columns, self._row, self._column = columns, 0, 0
        self._rows = [""]
        self.drawn: list[str] = []
        for piece in _PIECE.findall(text):
            self._take(piece)

    @property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line.rstrip() for line in self._rows if line.strip()]

    @property
    def bars(self) -> list[str]:
        """Each state of a bar that was shown, one after the other."""
        return [line for line in self.drawn if line]

    def _take(self, piece: str) -> None:
        if piece == "\r":
            self._leave()
            self._column = 0
        elif piece == "\n":
            self._leave()
            self._move(self._row + 1)
        elif piece == "\x1b[A":
            self._row = max(0, self._row - 1)
        elif piece == "\x1b[K":
            self._rows[self._row] = self._rows[self._row][: self._column]
        else:
            assert piece.isprintable(), f"{piece!r} is not known to this screen"
            if self._column == self._columns:
                self._move(self._row + 1)
                self._column = 0
            line = self._rows[self._row].ljust(self._column)
            self._rows[self._row] = line[: self._column] + piece + line[self._column + 1 :]
            self._column += 1

    def _leave(self) -> None:
        self.drawn.append(self._rows[self._row].rstrip())

    def _move(self, row: int) -> None:
        self._row = row
        self._rows += [""] * (row + 1 - len(self._rows))


class PseudoTerminal:
    """A pseudo terminal of *columns*: ``stream`` writes to it, and ``screen`` is what it shows after :meth:`close`."""

    def __init__(self, columns: int) -> None:
        import fcntl  # noqa: PLC0415 - Windows has none
        import pty  # noqa: PLC0415
        import termios  # noqa: PLC0415

        self._columns = columns
        self._master, self.descriptor = pty.openpty()
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = open(self.descriptor, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        self._read = bytearray()
        self._reader = threading.Thread(target=self._read_all)
        self._reader.start()

    def _read_all(self) -> None:
        while not self._read.endswith(_END):
            self._read += os.read(self._master, 4096)

    def close(self) -> None:
        """End it, when all that was written is read."""
        self.stream.close()
        os.write(self.descriptor, _END)  # there may be no end of file: helpers of multiprocessing keep a stderr open
        self._reader.join()
        os.close(self.descriptor)
        os.close(self._master)

    @property
    def text(self) -> str:
        """All that was written."""
        # The terminal sends a return for each line break: the other way round, the cursor leaves a line at its end.
        return self._read.removesuffix(_END).decode().replace("\r\n", "\n\r")

    @property
    def screen(self) -> Screen:
        """What it shows, and has shown."""
        return Screen(self.text, self._columns)


@contextlib.contextmanager
def pseudo_terminal(columns: int = 80) -> Iterator[PseudoTerminal]:
    """Give a pseudo terminal, and close it."""
    terminal = PseudoTerminal(columns)
    try:
        yield terminal
    finally:
        terminal.close()
