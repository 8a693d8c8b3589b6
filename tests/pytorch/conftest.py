"""The tests in this folder need PyTorch: ``make test-torch`` runs them, and without PyTorch none is collected."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("torch") is not None else ["test_*.py"]
