"""New ids and labels for image records that are framed already, without a change of their contents."""

from __future__ import annotations

import struct

from im2rec.format.heads import FLAG_SHIFT, HEAD_BYTES, MAGIC, WHOLE
from im2rec.format.irheader import HEADER_BYTES
from im2rec.format.recordio import decode_record, encode_record

_WORD, _LABEL_AND_ID = struct.Struct("<I"), struct.Struct("<fQ")
_LABEL_AT, _LABEL_BYTES = 4, 4  # in a payload; the id follows


def relabelled(frame: bytes, id_: int, label: float) -> bytes:
    """Return *frame*, one whole record as ``encode_record`` gives it, with the id *id_* and the first label *label*.

    The label is also that of the label field, where the record has a vector. The result is what ``encode_record`` gives
    for the changed payload: where the new words would contain the magic, the record is split anew.
    """
    new = _LABEL_AND_ID.pack(label, id_)
    if _stays_whole(frame, new):
        return frame[:HEAD_BYTES] + _changed(frame[HEAD_BYTES:], new)
    return encode_record(_changed(decode_record(frame), new))


def _stays_whole(frame: bytes, new: bytes) -> bool:
    """True if *frame* is a record of one part, and stays one with the label and the id *new*.

    No word of its payload is the magic, so only the new ones could be: each is compared by itself.
    """
    (word,) = _WORD.unpack_from(frame, HEAD_BYTES - _WORD.size)
    return word >> FLAG_SHIFT == WHOLE and MAGIC not in (new[:4], new[4:8], new[8:])


def _changed(payload: bytes, new: bytes) -> bytes:
    """Return *payload* with the label and the id *new*; bytes behind it stay as they are."""
    end = _LABEL_AT + len(new)
    (flag,) = _WORD.unpack_from(payload)
    if not flag:
        return b"".join((payload[:_LABEL_AT], new, payload[end:]))
    vector = new[:_LABEL_BYTES], payload[HEADER_BYTES + _LABEL_BYTES :]
    return b"".join((payload[:_LABEL_AT], new, payload[end:HEADER_BYTES], *vector))
