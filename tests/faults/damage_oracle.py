"""The oracle: it knows from the damage done to a file which records are still whole.

It works on the pieces of the damaged file, the frames of the original and the damaged bytes. It never looks at what
im2rec finds.
"""

from __future__ import annotations

import collections
import functools
import itertools

from faults.damaged_files import HEAD_BYTES, LAST, MAGIC, MOST, WHOLE, Damaged, Head


class Truth:
    """All that the damage tells about the records of a damaged file.

    *whole* maps the offset of each frame that is untouched to the ordinal of its record in the original. *changed* maps
    the offset of each record whose heads and length are in place to its ordinal and its payload now; *odd* maps the
    payloads that nothing in the file can tell from a record, though none was written, to the reason.
    """

    def __init__(self, file: Damaged) -> None:
        self.file, self.original, self.data = file, file.original, file.data
        self.heads = file.heads()
        self.magics = file.heads(len(MAGIC))  # of heads whose length word may be damaged
        self.whole: dict[int, int] = {}
        self.changed: dict[int, tuple[int, bytes]] = {}
        self.repaired: collections.Counter[bytes] = collections.Counter()
        self.odd: dict[bytes, str] = {}
        for record in range(len(self.original.payloads)):
            self._look_at(record)
        self._look_at_chains()
        self._look_at_lengths()
        for payload in set(self.odd) & set(self.allowed):
            del self.odd[payload]
        self.unprovable = {at for at in self.whole if self._is_unprovable(at)}

    # What a record is worth.

    @functools.cached_property
    def expected(self) -> set[int]:
        """Ordinals of the records that must be given out: untouched, and the file can tell."""
        return {record for at, record in self.whole.items() if at not in self.unprovable}

    @functools.cached_property
    def exempt_records(self) -> set[int]:
        """Ordinals of untouched records that nothing in the file can tell."""
        return {self.whole[at] for at in self.unprovable} - self.expected

    @functools.cached_property
    def allowed(self) -> collections.Counter[bytes]:
        """How often each payload may be given out as a whole record."""
        counts = collections.Counter(self.original.payloads[record] for record in self.whole.values())
        counts.update(payload for _, payload in self.changed.values())
        counts.update(self.repaired)
        return counts

    @functools.cached_property
    def confirmed(self) -> collections.Counter[bytes]:
        """How often each payload is in an untouched frame that ends at another head or at the end of the file."""
        return collections.Counter(
            self.original.payloads[record]
            for at, record in self.whole.items()
            if self._is_closed(at + len(self.original.frames[record])) and not self._is_inside(at)
        )

    def _is_inside(self, at: int) -> bool:
        """True if the untouched frame at *at* is in the data of another record, at no multiple of 4 bytes from it."""
        return any(start < at < end and (at - start) % 4 for start, end in self._spans)

    @functools.cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """Start and end of the frames that other heads prove, of damaged heads too, whatever their data is."""
        known = {**self.whole, **{at: record for at, (record, _) in self.changed.items()}}
        spans = [(at, at + len(self.original.frames[record])) for at, record in known.items()]
        at = self.data.find(MAGIC)
        while at >= 0:
            length = int.from_bytes(self.data[at + 4 : at + 8], "little")  # with a flag it is beyond any file
            if at not in self.heads and self._is_closed(end := at + HEAD_BYTES + (length + 3 & -4)):
                spans.append((at, end))
            at = self.data.find(MAGIC, at + 1)
        return spans

    def _frame(self, at: int) -> bytes:
        return self.original.frames[self.whole[at]]

    def _is_closed(self, end: int, heads: dict[int, Head] | None = None) -> bool:
        """True if the file ends at *end*, or a record of the original starts there; *heads* are those that count."""
        heads = self.heads if heads is None else heads
        return end == len(self.data) or (end in heads and heads[end].starts_record)

    @functools.cached_property
    def fits_index(self) -> bool:
        """True if the keys are ordinals and a whole record of the size that it says is at every offset of the index.

        Then it is a good index that lists only some records, for all that anything can tell.
        """
        original = self.original
        return not original.keys_are_ids and all(
            at in self.whole and (record == len(original.frames) - 1 or len(self._frame(at)) == len(frame))
            for record, (at, frame) in enumerate(zip(original.starts, original.frames, strict=False))
        )

    @functools.cached_property
    def unlisted(self) -> set[int]:
        """Ordinals of the untouched records that such an index does not list."""
        return self.expected - {self.whole[at] for at in self.original.starts[:-1]} if self.fits_index else set()

    # One record.

    def _look_at(self, record: int) -> None:
        frame, payload = self.original.frames[record], self.original.payloads[record]
        heads = self.original.parts[record]
        start = self.original.starts[record]
        for at, in_place in self._places(record).items():
            now = self.data[at : at + len(frame)]
            if now == frame:
                self.whole[at] = record
                continue
            read = MAGIC.join(
                self.data[at + h.offset - start + 8 : at + h.offset - start + 8 + h.length] for h in heads
            )
            if read == payload:
                self.repaired[payload] += 1
            elif all(self.heads.get(at + head.offset - start) == head for head in heads) and (
                in_place or self._is_closed(at + len(frame), self.magics)
            ):
                self.changed[at] = record, read
            if in_place:
                self._look_at_length(at, record)

    def _places(self, record: int) -> dict[int, bool]:
        """Return the offsets at which *record* may be, and whether all bytes there stand for its own."""
        start, stop = self.original.starts[record : record + 2]
        places: dict[int, bool] = {}
        for offset, piece in zip(self.file.offsets, self.file.pieces, strict=True):
            for origin in {piece.source, piece.place} - {None}:
                if origin < stop and origin + len(piece.data) > start:
                    at = offset + start - origin
                    if at >= 0:
                        places.setdefault(at, self._stands_for(at, start, stop))
        return places

    def _stands_for(self, at: int, start: int, stop: int) -> bool:
        pieces = self.file.part(at, at + stop - start)
        offsets = itertools.accumulate((len(piece.data) for piece in pieces), initial=start)
        return sum(len(piece.data) for piece in pieces) == stop - start and all(
            piece.place == offset for offset, piece in zip(offsets, pieces, strict=False)
        )

    def _look_at_length(self, at: int, record: int) -> None:
        """Note the payload of a record whose last head changed so that its frame is as long and well-formed.

        Its length changed within the zero padding; or an empty last part calls itself a whole record.
        """
        heads, frame = self.original.parts[record], self.original.frames[record]
        last = at + heads[-1].offset - heads[0].offset
        magic, word = self.data[last : last + 4], int.from_bytes(self.data[last + 4 : last + 8], "little")
        flag, length, end = word >> 29, word & MOST, at + len(frame)
        is_as_long = last + HEAD_BYTES + (length + 3 & -4) == end
        tail = self.data[last + HEAD_BYTES + min(length, heads[-1].length) : end]
        if magic != MAGIC or not is_as_long or any(tail):
            return
        data = self.data[last + HEAD_BYTES : last + HEAD_BYTES + length]
        others = {at + head.offset - heads[0].offset: head for head in heads[:-1]}
        if flag == heads[-1].flag and all(self.heads.get(now) == head for now, head in others.items()):
            before = [self.data[now + HEAD_BYTES :][: head.length] for now, head in others.items()]
            self.odd[MAGIC.join([*before, data])] = "length within zero padding"
        elif flag == WHOLE and heads[-1].flag == LAST:
            self.odd[data] = "last part as a record"

    # Records made of parts of others.

    def _look_at_chains(self) -> None:
        """Note the payloads of well-formed records that consist of intact parts which never were one record."""
        for at, head in self.heads.items():
            if head.starts_record and at not in self.whole:
                chain = self._chain(at)
                if chain is not None and chain != self.original.parts[head.record]:
                    self.odd[self._payload(at, chain)] = "whole parts removed"

    def _chain(self, at: int) -> list[Head] | None:
        """Return the heads of the parts that lead from *at* to the end of a record, all as long as they were."""
        chain: list[Head] = []
        while (head := self.heads.get(at)) is not None and head.starts_record == (not chain):
            chain.append(head)
            end = at + HEAD_BYTES + (head.length + 3 & -4)
            stored = self.original.data[head.offset : head.offset + end - at]
            if end > len(self.data) or any(self.data[at + HEAD_BYTES + head.length : end]):
                break
            is_intact = self.data[at:end] == stored
            if head.flag in (WHOLE, LAST):
                return chain if is_intact or self._is_closed(end) else None
            at = end
        return None

    def _look_at_lengths(self) -> None:
        """Note the payloads of records whose length was raised to the next head, while all heads between are gone."""
        for at, head in self.magics.items():
            word = int.from_bytes(self.data[at + 4 : at + 8], "little")
            end = at + HEAD_BYTES + (word + 3 & -4)
            is_raised = head.flag == WHOLE and head.length < word <= MOST and self._is_closed(end, self.magics)
            others = (other for other in self.magics if at < other < end and (other - at) % 4 == 0)
            if is_raised and next(others, None) is None and not any(self.data[at + HEAD_BYTES + word : end]):
                payload = self.data[at + HEAD_BYTES : at + HEAD_BYTES + word]
                self.odd.setdefault(payload, "length raised over a lost head")

    def _payload(self, at: int, chain: list[Head]) -> bytes:
        pieces = []
        for head in chain:
            pieces.append(self.data[at + HEAD_BYTES : at + HEAD_BYTES + head.length])
            at += HEAD_BYTES + (head.length + 3 & -4)
        return MAGIC.join(pieces)

    # Records at other distances than a multiple of 4.

    def _is_unprovable(self, at: int) -> bool:
        """True for a record of one part off the grid of 4 bytes, which no other head confirms."""
        end = at + len(self._frame(at))
        if at % 4 == 0 or len(self.original.parts[self.whole[at]]) > 1 or end == len(self.data) or end in self.heads:
            return False
        return not any(before + len(self._frame(before)) == at for before in self.whole)
