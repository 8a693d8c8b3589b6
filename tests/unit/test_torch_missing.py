"""``import im2rec.torch`` where PyTorch is not installed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import im2rec

EXPECTED = "im2rec.torch needs PyTorch: pip install 'im2rec[torch]'"


def test_the_import_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "im2rec.torch", raising=False)

    with pytest.raises(ImportError) as caught:
        importlib.import_module("im2rec.torch")
    assert (EXPECTED, "torch") == (str(caught.value), caught.value.name)


def test_a_folder_of_the_name_torch_is_not_taken_for_pytorch(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    code = f"import sys; sys.path.insert(0, {str(Path(im2rec.__file__).parents[1])!r}); import im2rec.torch"

    # -S: without the packages that are installed, PyTorch perhaps among them.
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert f"ImportError: {EXPECTED}" == done.stderr.strip().splitlines()[-1]
