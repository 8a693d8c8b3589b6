"""Ends of encoded images: whether the last bytes are those with which a file of its kind ends.

The sizes that BMP and WebP files begin with prove nothing about their ends: bytes may have been added or lost between.

Source: ITU-T T.81 section B.1.1.3 (EOI), PNG specification section 11.2.5 (IEND).
"""

from __future__ import annotations

_PNG_END = b"IEND\xaeB`\x82"
ENDING_BYTES = max(len(_PNG_END), 2)  # at the end of an image
FRONT_BYTES = 12  # at its start


def has_its_end(front: bytes, tail: bytes) -> bool:
    """True if an image that begins with *front* and ends with *tail* has the end of its own format.

    False for one without it, and for kinds that have no such end. *front* are its first ``FRONT_BYTES`` bytes at least,
    *tail* its last ``ENDING_BYTES``.
    """
    if front.startswith(b"\xff\xd8\xff"):
        return tail.endswith(b"\xff\xd9")
    if front.startswith(b"\x89PNG\r\n\x1a\n"):
        return tail.endswith(_PNG_END)
    return False
