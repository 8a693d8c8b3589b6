"""pip installs only packages that have wheels for the Python version and the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")  # Python 3.11
requirements = pytest.importorskip("packaging.requirements")
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ALL = {"numba", "opencv-python-headless", "simplejpeg"}


def installed(dependencies: list[str], python: str, platform: str, machine: str) -> set[str]:
    """Return the names of those of *dependencies* that pip installs for this Python version, system and machine."""
    environment = {"python_version": python, "sys_platform": platform, "platform_machine": machine}
    parsed = [requirements.Requirement(line) for line in dependencies]
    return {each.name for each in parsed if each.marker is None or each.marker.evaluate(environment)}


def test_the_base_install_is_the_same_everywhere() -> None:
    assert {"click", "numpy", "pillow", "tqdm"} == installed(PROJECT["dependencies"], "4.0", "plan9", "vax")


@pytest.mark.parametrize(
    ("python", "platform", "machine", "missing"),
    [
        ("3.10", "linux", "x86_64", set()),
        ("3.14", "linux", "aarch64", set()),
        ("3.14", "win32", "AMD64", set()),
        ("3.14", "darwin", "arm64", set()),
        ("3.14", "darwin", "x86_64", {"numba"}),
        ("3.15", "linux", "x86_64", {"simplejpeg"}),
        ("3.16", "linux", "x86_64", {"simplejpeg", "numba"}),
        ("3.14", "win32", "ARM64", ALL),
        ("3.14", "linux", "riscv64", ALL),
    ],
)
def test_the_fast_extra_installs_packages_that_have_wheels(
    python: str, platform: str, machine: str, missing: set[str]
) -> None:
    assert ALL - missing == installed(PROJECT["optional-dependencies"]["fast"], python, platform, machine)
