"""Commands that write a new set, and are ended in the middle of it or meet a full disk."""

from __future__ import annotations

import dataclasses
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from full_disk_helpers import fill_disk
from image_helpers import Ran, im2rec, names_in

# Sends a signal at a write to a file, or when a file gets its name.
AT_STEP = """
import os, signal, sys
from im2rec.rewriting import copying
copying._BATCH_BYTES = 100
from im2rec.storage import output
from im2rec.storage.output import AtomicFile
name, number = sys.argv[1], getattr(signal, sys.argv[2])
def ending(real):
    def step(first, *rest, **named):
        done = real(first, *rest, **named)
        if getattr(first, "path", first).name == name: os.kill(os.getpid(), number)
        return done
    return step
if sys.argv[3] == "write": AtomicFile.write = ending(AtomicFile.write)
else: output.give_name = ending(output.give_name)
from im2rec.cli import main
main(sys.argv[4:])
"""


def stopped(step: tuple[str, str, str], words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run im2rec with *words*; *step* is the name of a file, a signal, and ``write`` or ``name``."""
    return subprocess.run([sys.executable, "-c", AT_STEP, *step, *words], capture_output=True, text=True, check=False)


@dataclasses.dataclass
class WritingCommand:
    """A command that writes the files *written* to a folder *out*: ``words(out)`` are its words."""

    words: Callable[[Path], list[str]]
    written: list[str]
    out: Path

    def check_ended(self, number: str, name: str) -> None:
        """Send the signal *number* at a write to the file *name*: every name is as it was, and the next run works."""
        words, out = self.words(self.out), self.out
        out.mkdir()
        before = {old: b"the old " + old.encode() for old in self.written}
        for old, data in before.items():
            (out / old).write_bytes(data)
        done = stopped((name, number, "write"), words)

        assert (-signal.SIGKILL if number == "SIGKILL" else 143) == done.returncode
        assert before == {old: (out / old).read_bytes() for old in before}
        if number == "SIGTERM":
            assert f"to begin again: im2rec {shlex.join(words)}\n" in done.stderr
            assert sorted(before) == names_in(out)
        assert 0 == im2rec(*words).code  # and what a killed run left does not stop the next one, nor stays
        assert self.written == names_in(out)

    def check_killed_at_name(self, name: str) -> None:
        """Kill when the file *name* has got its name: no file stands beside one of another run."""
        out, whole = self.out, self.out.with_name("whole")
        for folder in (out, whole):
            folder.mkdir()
        assert 0 == im2rec(*self.words(whole)).code
        for old in self.written:
            (out / old).write_bytes(b"the old one")
        done = stopped((name, "SIGKILL", "name"), self.words(out))

        assert -signal.SIGKILL == done.returncode
        for new in set(self.written) & set(names_in(out)):
            assert (whole / new).read_bytes() == (out / new).read_bytes()
        assert 0 == im2rec(*self.words(out)).code
        assert {path.name: path.read_bytes() for path in whole.iterdir()} == {
            path.name: path.read_bytes() for path in out.iterdir()
        }

    def check_full_disk(self, monkeypatch: pytest.MonkeyPatch, name: str, fails: str) -> None:
        """Let the disk be full at the file *name*: the error names it, and nothing is left."""
        fill_disk(monkeypatch, name, fails)
        self.out.mkdir()
        ran = im2rec(*self.words(self.out))

        why = "cannot be written: no space left on device (no file exists under this name)"
        assert Ran(1, "", f"im2rec: {self.out / name}: {why}\n") == ran
        assert [] == names_in(self.out)
