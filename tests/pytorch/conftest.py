"""The tests in this folder need PyTorch: ``make test-torch`` runs them, and without PyTorch none is collected."""

from __future__ import annotations

import importlib.util

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") is not None else ["test_*.py"]
# Warnings of the libraries that say nothing of im2rec: that a test starts more workers than there are CPUs, and that
# torchdata calls a function which PyTorch deprecates.
IGNORED = (
    "This DataLoader will create .* worker processes in total:UserWarning",
    "'set_vital' is deprecated:UserWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for warning in IGNORED:
        config.addinivalue_line("filterwarnings", f"ignore:{warning}")
