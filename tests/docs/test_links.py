"""Every link leads somewhere: to a file and a heading of it, on GitHub and in the site."""

import ast
import posixpath
import re
from pathlib import Path

from api_page import anchor

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
}
# Addresses elsewhere. They are not opened here: whoever adds one has looked at it.
OUTSIDE = {
    "https://docs.aws.amazon.com/sagemaker/latest/dg/IC-Hyperparameter.html",
    "https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html",
    "https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch",
    "https://keepachangelog.com/en/1.1.0/",
    "https://meta-pytorch.org/data/main/torchdata.stateful_dataloader.html",
}


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def links(page: str) -> list[tuple[str, str]]:
    """The links of a page: the path of each in the repository, and its anchor; of one to elsewhere the address."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(PAGES[page])):
        path, _, fragment = target.partition("#")
        inside = page if not path else posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        found.append((target, "") if "://" in target else (inside, fragment))
    return found


def anchors(page: str) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    return [anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]


def beside_docs() -> dict[str, str]:
    """The files beside docs/ that are in the site. Its hook lists them, and imports mkdocs, which tests lack."""
    hook = ast.parse((ROOT / "docs" / "site_pages.py").read_text(encoding="utf-8"))
    values = [
        node.value for node in hook.body if isinstance(node, ast.Assign) and "BESIDE_DOCS" in ast.unparse(node.targets)
    ]
    found: dict[str, str] = ast.literal_eval(values[0])
    return found


def test_every_link_leads_to_a_file_and_to_one_heading_of_it() -> None:
    count = 0
    for page in PAGES:
        for path, fragment in links(page):
            assert "://" in path or (ROOT / path).is_file(), f"{page}: {path}"
            if fragment:
                assert 1 == anchors(path).count(fragment), f"{page}: {path}#{fragment}"
                count += 1
    assert count > 100


def test_every_link_to_elsewhere_is_one_that_is_known() -> None:
    assert OUTSIDE == {path for page in PAGES for path, _ in links(page) if "://" in path}


def test_every_link_leads_to_a_place_in_the_site() -> None:
    for page in PAGES:
        for path, _ in links(page):
            assert "://" in path or path.startswith("docs/") or path in beside_docs(), f"{page}: {path}"


def test_no_page_is_missing_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)

    expected = {beside_docs().get(page, page.removeprefix("docs/")) for page in PAGES}
    assert sorted(expected) == sorted(listed)


def test_every_image_of_the_documentation_is_shown_on_a_page() -> None:
    shown = {path for page in PAGES for path, _ in links(page)}

    assert [] == [
        path.name for path in (ROOT / "docs").rglob("*.png") if path.relative_to(ROOT).as_posix() not in shown
    ]
