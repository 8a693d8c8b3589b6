"""Packs that are stopped in the middle, as by a kill or by an error, and gone on with."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from image_helpers import encoded, texture, write_images
from PIL import Image

from im2rec.packing import pack as module
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.packing.report import PackSummary
from im2rec.storage import checkpoints, disk

UNCHANGED = PackParams(unchanged=True)
_OF_ONE_RUN = ("resumed", "resumed_line", "seconds", "images_per_s", "files", "report", "workers", "input")


LIST_SHARE = 0.02  # of the progress of a pack of faces: its list is read first, and its lines are counted


class StoppedError(Exception):
    """A run that ends in the middle, for a reason that im2rec has no error for."""


def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save a state for every line, each synchronised as soon as the thread is free."""
    for name in ("SAVE_S", "SYNC_S", "COST"):
        monkeypatch.setattr(checkpoints, name, 0)
    monkeypatch.setattr(module, "MAX_CHUNK_LINES", 1)


@dataclasses.dataclass
class PackCase:
    """A list that is packed to ``o.rec`` in the folder *out*."""

    listed: Path
    root: Path
    out: Path
    params: PackParams = UNCHANGED

    def pack(self, out: Path | None = None, *, progress: Any = None, **options: Any) -> PackSummary:
        """Pack the list, with one worker unless *options* say otherwise."""
        chosen = PackOptions(**{"workers": 1, "max_bad": "100%", **options})
        return pack(self.listed, self.root, (out or self.out) / "o.rec", self.params, chosen, progress=progress)

    def stop(self, at: int, error: BaseException | None = None, **options: Any) -> None:
        """Pack until *at* images are packed, the last one of which is not written any more."""
        error = error or StoppedError()

        def progress(images: int, share: float) -> None:
            if images == at and share > LIST_SHARE:
                raise error

        with pytest.raises(type(error)):
            self.pack(progress=progress, **options)

    def interrupt(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        """Interrupt a pack behind write number *at* of the system, and pack again, in place of a pack that was done.

        The bytes are in the file by then, and still in the buffer of Python, which did not learn of it.
        """
        real, writes = disk.OutputStream.write, 0

        def write(stream: disk.OutputStream, data: bytes) -> int:
            nonlocal writes
            writes += 1
            written = real(stream, data)
            if writes == at:
                raise KeyboardInterrupt
            return written

        with monkeypatch.context() as patch:
            patch.setattr(disk.OutputStream, "write", write)
            with contextlib.suppress(KeyboardInterrupt):
                self.pack()
                assert writes < at
        summary = self.pack(force=writes < at)
        assert self.undisturbed() == (files_in(self.out), without_times(summary))

    def undisturbed(self, **options: Any) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The files and the summary of a run that nothing disturbs."""
        folder = self.out.with_name("undisturbed")
        folder.mkdir(exist_ok=True)
        summary = self.pack(folder, **{"force": True, **options})
        return files_in(folder), without_times(summary)

    def message(self, **options: Any) -> str:
        """The message of the error that packing the list raises."""
        return message_of(self.pack, **options)


def without_times(summary: PackSummary) -> dict[str, Any]:
    """What is equal in the summaries of a run that was gone on with and of one that nothing disturbed."""
    return {name: value for name, value in vars(summary).items() if name not in _OF_ONE_RUN}


def files_in(folder: Path) -> dict[str, bytes]:
    """The content of each file in *folder*."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def a_case(folder: Path, count: int = 8, **params: Any) -> PackCase:
    """A list of *count* small images."""
    names = [f"{number}.jpg" for number in range(count)]
    (folder / "l.lst").write_text("".join(f"{n}\t{n % 3}\t{name}\n" for n, name in enumerate(names)))
    (folder / "out").mkdir()
    root = write_images(folder / "root", names, height=8, width=10)
    return PackCase(folder / "l.lst", root, folder / "out", PackParams(**{"unchanged": True, **params}))


def an_odd_case(folder: Path) -> PackCase:
    """A list with two each of all that the summary counts: bad lines and images, notes, and probable mistakes."""
    case = a_case(folder)
    exif = Image.Exif()
    exif[274] = 6
    (case.root / "turned.jpg").write_bytes(encoded(texture(8, 10), exif=exif))
    (case.root / "text.jpg").write_bytes(b"text")
    (folder / "outside.jpg").write_bytes((case.root / "0.jpg").read_bytes())
    lines = []
    for turn in range(2):
        lines += [
            f"{turn}\t1\t2\t0.jpg",  # several labels
            "# a comment",
            f"{turn}\t16777217\t1.jpg",  # a label that float32 rounds
            f"{10 + turn}\tnan\t2.jpg",
            "",
            f"{20 + turn}\t1\t../outside.jpg",
            f"{30 + turn}\t1\tturned.jpg",
            f"{40 + turn}\t1\ta\\b.jpg",
            f"{50 + turn}\t1\tgone.jpg",
            f"{60 + turn}\t1\ttext.jpg",
            "not a line",
            f"{turn}\t1\t3.jpg",  # an id that is repeated
        ]
    case.listed.write_text("\n".join(lines) + "\n")
    (folder / "l.classes.txt").write_text("cat\ndog\n")
    return case


def packed_lines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the line of every entry that a worker gets from now on."""
    lines: list[int] = []
    real: Callable[..., Any] = module.pack_in_worker

    def work(entries: Any, *args: Any, **options: Any) -> Any:
        lines.extend(entry.line for entry in entries)
        return real(entries, *args, **options)

    monkeypatch.setattr(module, "pack_in_worker", work)
    return lines
