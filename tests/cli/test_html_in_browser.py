"""A report of ``im2rec inspect --html`` in a real browser: it fits the window, shows all images, and asks for nothing.

The report is looked at in frames of two widths, as a browser without a screen has no narrow windows. A copy of it gets
a script that says what it finds, and a policy that allows this one script.
"""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import image_payload, write_rec
from image_helpers import DEADLINE_S, encoded, im2rec, texture

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
WIDTHS = (400, 1400)
_SCRIPT = """
const blocked = [];
addEventListener("securitypolicyviolation", event => blocked.push(event.blockedURI + " " + event.violatedDirective));
addEventListener("load", () => setTimeout(() => {
  const images = [...document.images];
  const text = document.querySelector(".muted");
  parent.postMessage({
    width: innerWidth, needed: document.documentElement.scrollWidth, title: document.title, blocked: blocked,
    images: images.length, shown: images.filter(image => image.complete && image.naturalWidth > 0).length,
    dark: matchMedia("(prefers-color-scheme: dark)").matches, back: getComputedStyle(document.body).backgroundColor,
    contrast: [getComputedStyle(text).color, getComputedStyle(document.body).color],
    columns: getComputedStyle(document.querySelector(".sheet")).gridTemplateColumns.split(" ").length,
    cut: [...document.querySelectorAll("h1, h2, h3, p, svg, .card, .facts, figure")]
      .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5).length,
    opened: performance.getEntriesByType("resource").filter(one => !one.name.startsWith("data:")).length
  }, "*");
}, 0));
"""
_FRAMES = """<!DOCTYPE html><title>frames</title><body><script>
const found = [];
addEventListener("message", event => {
  found.push(event.data);
  document.body.setAttribute("data-found", JSON.stringify(found));
});
</script>%s</body>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"needs a browser: none of {', '.join(NAMES)} is installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything that may be too wide: long names, many bars, failures and damage."""
    folder = tmp_path_factory.mktemp("größe 1")
    contents = [encoded(texture(40 + n, 90 - n, seed=n)) for n in range(70)]
    contents[5] = contents[5][:-300]
    rec = write_rec(folder / "a.rec", [image_payload(n, n % 40, content) for n, content in enumerate(contents)])
    data = bytearray(rec.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4] = b"\xff" * 4
    del data[-9:]
    rec.write_bytes(data)
    names = ["猫", "قطة جميلة جدا", "long" * 100, "<script>parent.evil = 1</script>", '"><img src=http://a.test/>']
    (folder / "a.classes.txt").write_text("\n".join([*names, *map(str, range(35))]) + "\n", encoding="utf-8")
    assert 5 == im2rec("inspect", rec, "--verify", "--html", folder / "r.html", "--workers", "1").code
    return folder / "r.html"


class _Site(http.server.ThreadingHTTPServer):
    """The pages of a folder, and a list of what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def log_request(self, *_: object) -> None:
                site.asked.append(self.path)

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def site(report: Path) -> Iterator[_Site]:
    with _Site(report.parent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def looked_at(report: Path, site: _Site, profile: Path, *, dark: bool) -> list[dict[str, Any]]:
    """What the script finds in a frame of each width."""
    page = report.read_text(encoding="utf-8")
    policy = re.search("default-src 'none'; ", page)
    assert policy is not None
    allowed = page.replace(policy[0], f"{policy[0]}script-src 'nonce-test'; ", 1)
    copy = report.with_name("copy.html")
    copy.write_text(allowed.replace("<title>", f"<script nonce=test>{_SCRIPT}</script><title>", 1), encoding="utf-8")
    frames = "".join(f'<iframe src="copy.html" width={width} height=900 style="border:0"></iframe>' for width in WIDTHS)
    report.with_name("frames.html").write_text(_FRAMES % frames, encoding="utf-8")
    assert BROWSER is not None
    words = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--disable-extensions", "--disable-component-update", "--disable-dev-shm-usage", "--window-size=1600,1000"),
        *(f"--user-data-dir={profile}", "--virtual-time-budget=5000"),
        *(["--force-dark-mode"] if dark else []),
        *("--dump-dom", f"http://127.0.0.1:{site.server_port}/frames.html"),
    ]
    ran = subprocess.run(words, capture_output=True, timeout=DEADLINE_S, check=True, encoding="utf-8")
    found = re.search(r'data-found="([^"]*)"', ran.stdout)
    assert found is not None, ran.stdout
    frames_found: list[dict[str, Any]] = json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))
    return sorted(frames_found, key=lambda frame: frame["width"])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_report_fits_narrow_and_wide_windows_and_needs_nothing_else(
    report: Path, site: _Site, tmp_path: Path, *, dark: bool
) -> None:
    found = looked_at(report, site, tmp_path, dark=dark)

    assert [*WIDTHS] == [frame["width"] for frame in found]
    for frame in found:
        assert frame["needed"] <= frame["width"]
        assert 0 == frame["cut"]
        assert "a.rec - im2rec inspect" == frame["title"]
        assert frame["images"] == frame["shown"] > 50
        assert [] == frame["blocked"]
        assert 0 == frame["opened"]
        assert dark == frame["dark"]
        assert all(contrast(color, frame["back"]) >= 4.5 for color in frame["contrast"])
    assert [4, 10] == [frame["columns"] for frame in found]
    assert {"/frames.html", "/copy.html"} == set(site.asked) - {"/favicon.ico"}


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it."""
    darker, lighter = sorted(map(_luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
