"""Prints the Python of an environment with PyTorch, which is made in the user's cache folder on first use.

``make test-torch`` runs it. The environment is none of a checkout: its name is a hash of the requirements and of the
Python that it is made with, so that all checkouts with these share it. It is made aside and renamed, so that one that
is half installed is never taken for a whole one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PREFERRED = "python3.11"  # for which PyTorch has a small build where this is tested
_UNFINISHED, _DAY_S = "unfinished-", 24 * 60 * 60
_DESCRIBE = "import ensurepip, platform, sys, venv; print(sys.version, platform.machine(), sys.base_prefix)"


def cache_folder() -> Path:
    """Return the folder of environments: not im2rec's own, which tests set to others."""
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache") / "im2rec-tests"


def chosen_python() -> tuple[str, str]:
    """Return the Python to make the environment with, and its description."""
    for python in (PREFERRED, sys.executable):
        if found := shutil.which(python):
            done = subprocess.run([found, "-c", _DESCRIBE], capture_output=True, text=True, check=False)
            if done.returncode == 0:  # pyenv has names of versions that are not installed
                return found, done.stdout
    sys.exit(f"neither {PREFERRED} nor {sys.executable} can make an environment: install the module venv")


def python_of(environment: Path) -> Path:
    """Return the path of the interpreter of *environment*."""
    return environment / ("Scripts/python.exe" if platform.system() == "Windows" else "bin/python")


def make(environment: Path, python: str) -> None:
    """Make *environment* aside and rename it; one that another run made meanwhile is taken instead."""
    sys.stderr.write(f"installing PyTorch for the tests in {environment}\n")
    environment.parent.mkdir(parents=True, exist_ok=True)
    for left in environment.parent.glob(f"{_UNFINISHED}*"):  # by runs that were killed
        if left.stat().st_mtime < time.time() - _DAY_S:
            shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=environment.parent))
    try:
        subprocess.run([python, "-m", "venv", aside], check=True, stdout=sys.stderr)
        pip = [python_of(aside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", REQUIREMENTS], check=True, stdout=sys.stderr)
        with contextlib.suppress(OSError):  # it is there: another run was faster
            aside.rename(environment)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def main() -> None:
    """Print the path of the environment's Python."""
    python, description = chosen_python()
    key = hashlib.sha256(description.encode() + REQUIREMENTS.read_bytes()).hexdigest()[:16]
    environment = cache_folder() / f"torch-{key}"
    if not environment.exists():
        make(environment, python)
    sys.stdout.write(f"{python_of(environment)}\n")


if __name__ == "__main__":
    main()
