"""Hook of mkdocs: the pages beside docs/ become pages of the site, and the links between all of them lead there.

README.md is the front page. So there is one text of each, and every link is one that works on GitHub, too.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# A file of the repository, and its name in the site. A link to any other file outside docs/ ends the build.
BESIDE_DOCS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "LICENSE.txt",
}
# Long pages with every word, which in the results of a search come behind those that explain it.
LOOKED_UP = {"architecture.md", "changelog.md", "json.md"}
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LOADED = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of ``BESIDE_DOCS``."""
    root = PurePosixPath(config.docs_dir).parent
    for source, name in BESIDE_DOCS.items():
        files.append(File.generated(config, name, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Return the text of *page* with links to where their targets are in the site, but for blocks of code.

    Pages that are ``LOOKED_UP`` count less in a search.
    """
    name = page.file.src_uri
    if name in LOOKED_UP:
        page.meta["search"] = {"boost": 0.3}
    source = next((beside for beside, site in BESIDE_DOCS.items() if site == name), f"docs/{name}")
    texts = _FENCED.split(markdown)  # fenced blocks are at the odd places
    texts[::2] = [_LINK.sub(lambda link: _in_site(link, source, name), text) for text in texts[::2]]
    return "".join(texts)


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Return the HTML of *page* as it is. Raises PluginError if it loads anything from elsewhere when it is opened."""
    if found := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads {found[1]}: the site must not need the network")
    return output


def _in_site(link: re.Match[str], source: str, name: str) -> str:
    """Return a link of the file *source* of the repository as one of the page *name* of the site."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
    there = BESIDE_DOCS.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else "")
    if not there:  # mkdocs reports it
        return link[0]
    return f"]({posixpath.relpath(there, posixpath.dirname(name) or '.')}{link[2] or ''})"
