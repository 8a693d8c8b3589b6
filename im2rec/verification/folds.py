"""The ten folds of a verification file: which pairs published evaluation judges together.

Thresholds are chosen on nine folds and judged on the tenth, so each fold needs pairs of both kinds. A fold is a run of
consecutive pairs: their order decides which pair is in which fold.

Source: insightface recognition/arcface_torch/eval/verification.py, ``LFold``: scikit-learn's ``KFold``, unshuffled.
"""

from __future__ import annotations

import itertools

FOLDS = 10


def fold_bounds(pairs: int) -> list[tuple[int, int]]:
    """Return for each of the ten folds the number of its first pair, from 0, and that behind its last one.

    Where ten does not divide the number of *pairs*, the first folds have one more; of fewer than ten pairs the last
    folds are empty.
    """
    size, larger = divmod(pairs, FOLDS)
    starts = [fold * size + min(fold, larger) for fold in range(FOLDS + 1)]
    return list(itertools.pairwise(starts))
