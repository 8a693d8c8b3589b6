"""Readers of random sequences, with the place that they have reached in MXNet and in im2rec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mx.sequence_story import Folder, Name, Story, bytes_text, frame

RAISES = "raises"


@dataclass
class Records:
    """A file and its index: keys and payloads in file order, of which those without a key are in no index."""

    rec: Folder
    idx: Folder
    keys: list[Any]
    payloads: list[bytes]

    def offsets(self) -> list[int]:
        sizes = [len(frame(payload)) for payload in self.payloads]
        return [sum(sizes[:number]) for number in range(len(sizes))]

    def index(self) -> bytes:
        """Return the index as MXNet writes it."""
        return b"".join(b"%d\t%d\n" % line for line in zip(self.keys, self.offsets(), strict=True))

    def place(self, key: Any) -> int:
        """Return the ordinal of *key*: of several records with one key the last."""
        return len(self.keys) - 1 - self.keys[::-1].index(key)

    def known(self) -> list[Any]:
        return [key for key in self.keys if key is not None]


class Place:
    """The place of a reader in *records*, in MXNet or in im2rec."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.open = True
        self.ended = False
        self._next = 0

    def reset(self) -> str:
        self.open, self.ended, self._next = True, False, 0
        return "None"

    def seek(self, key: Any) -> str:
        """Move to the record of *key*; a closed reader is opened again."""
        if not self.open:
            self.reset()
        if key not in self._records.known():
            return RAISES
        self._next = self._records.place(key)
        return "None"

    def read(self) -> str:
        """Return the result of ``read()`` as text, and move behind the record."""
        if not self.open:
            return RAISES
        if self.ended or self._next == len(self._records.payloads):
            return "None"
        self._next += 1
        return bytes_text(self._records.payloads[self._next - 1])

    def read_key(self, key: Any) -> str:
        return self.read() if self.seek(key) == "None" else RAISES


class Reading:
    """Calls of the reader *name* of *records*, with the results of im2rec where MXNet has a bug."""

    def __init__(self, story: Story, records: Records, name: str, *, indexed: bool = True) -> None:
        self._story, self._records, self._name = story, records, name
        self._mxnet, self._ours = Place(records), Place(records)
        self._indexed = indexed and bool(records.known())

    def some(self, low: int, high: int) -> None:
        """Add *low* to *high* random calls."""
        ways = [self.read, self.read, self.read, self.reset, self.attribute, self.close, self.refuse, self.pickle]
        if self._indexed:
            ways += [self.read_key, self.read_key, self.read_key, self.seek, self.seek, self.miss, self.look]
        for way in self._story.some(ways, low, high):
            way()

    def to_the_end(self) -> None:
        """Read everything and once more, and then by key, as MXNet no longer can."""
        self.reset()
        for _ in range(len(self._records.payloads) + 2):
            self.read()
        if self._indexed:
            self.read_key()
            self.read()

    def read(self) -> None:
        reads = [place.read() for place in (self._mxnet, self._ours)]
        self._add("read", *reads)
        self._mxnet.ended |= self._mxnet.open and reads[0] == "None"

    def read_key(self, key: Any = None) -> None:
        key = self._story.one(self._records.known()) if key is None else key
        reads = [place.read_key(key) for place in (self._mxnet, self._ours)]
        self._add("read_idx", *reads, key)

    def seek(self, key: Any = None) -> None:
        key = self._story.one(self._records.known()) if key is None else key
        self._add("seek", self._mxnet.seek(key), self._ours.seek(key), key)

    def miss(self) -> None:
        """Ask for a key that is not there."""
        self._story.one([self.seek, self.read_key])(self._story.one([-1, 10**7, "1", (1, 2)]))

    def reset(self) -> None:
        self._add("reset", self._mxnet.reset(), self._ours.reset())

    def close(self) -> None:
        self._mxnet.open = self._ours.open = False
        self._add("close", "None", "None")

    def look(self) -> None:
        self._story.call("python.attribute", Name(self._name), self._story.one(["keys", "idx", "writable", "flag"]))

    def attribute(self) -> None:
        self._story.call("python.with_attribute", Name(self._name), "note", self._story.number(0, 9))

    def refuse(self) -> None:
        """Ask the reader to write."""
        if self._mxnet.open:
            calls: list[tuple[Any, ...]] = [("write", b"x")]
            if self._indexed:
                calls += [("write_idx", 1, b"x"), ("tell",)]
            method, *arguments = self._story.one(calls)
            self._story.call(f"{self._name}.{method}", *arguments)

    def pickle(self) -> None:
        """Pickle the reader, by which MXNet closes it, and read in the copy from its start."""
        if not self._mxnet.open:
            return
        name = self._story.call("python.pickled", Name(self._name), name=self._story.new("copy")).name
        self._mxnet.open = False
        copied = Reading(self._story, self._records, name, indexed=self._indexed)
        for way in self._story.some([copied.read, copied.reset, copied.close], 1, 3):
            way()
        if self._indexed:
            copied.read_key()
            copied.look()

    def _add(self, method: str, mxnet: str, ours: str, *arguments: Any) -> None:
        differs = "" if mxnet == ours else "13.4" if self._mxnet.ended else "8.1"
        self._story.call(f"{self._name}.{method}", *arguments, differs=differs, ours=ours if differs else "")
