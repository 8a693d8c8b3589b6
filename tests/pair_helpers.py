"""Helpers for verification files: golden pairs and images, and folders of drawn faces with a list of pairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from image_helpers import encoded, texture

FACES = Path(__file__).parent / "golden" / "insightface"
GOLDEN_BIN = FACES / "bins" / "py312_p4_bytes.bin"
GOLDEN_LISTS = sorted((FACES / "pairs").iterdir())
FACE_ROOT = FACES / "pictures"


def expected_pairs() -> dict[str, Any]:
    """The content of the golden files: ``pictures``, the SHA-256 of each image, ``issame``, and the files by name."""
    expected: dict[str, Any] = json.loads((FACES / "bins" / "expected.json").read_text(encoding="utf-8"))
    return expected


def sha256s(contents: Iterable[bytes]) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


def face(seed: int, side: int = 16, kind: str = "JPEG") -> bytes:
    """A drawn image, another one for each *seed*."""
    return encoded(texture(side, side, seed=seed), kind)


def faces(root: Path, count: int, **options: Any) -> list[str]:
    """Write *count* drawn faces to the folder *root*; return their names."""
    root.mkdir(exist_ok=True)
    names = [f"{number:03}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        (root / name).write_bytes(face(number, **options))
    return names


def labels_list(path: Path, pairs: Iterable[Sequence[object]]) -> Path:
    """Write a list of lines ``path1 path2 0|1``."""
    path.write_text("".join(f"{one} {other} {int(bool(same))}\n" for one, other, same in pairs), encoding="utf-8")
    return path


def paired(folder: Path, pairs: int = 20, **options: Any) -> tuple[Path, Path]:
    """Write a list of *pairs* pairs, same and different in turn, and the folder of their images; return both."""
    names = faces(folder / "root", 2 * pairs, **options)
    pairs_ = zip(names[::2], names[1::2], (number % 2 == 0 for number in range(pairs)), strict=True)
    return labels_list(folder / "pairs.txt", pairs_), folder / "root"
