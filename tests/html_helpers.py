"""Helpers of the tests on HTML reports: a page as a parser sees it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "img", "link", "br", "hr", "input", "source", "base"}
_LOADING = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """A page of HTML: its *title*, the *tags* in it, its *text*, the *links* in attributes, the *ids*, in order.

    Raises AssertionError for elements that are not closed in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.title, self.text = "", ""
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []

    @classmethod
    def of(cls, page: bytes | Path) -> Page:
        """Parse *page*, or the file of that name."""
        parsed = cls()
        parsed.feed((page.read_bytes() if isinstance(page, Path) else page).decode())
        parsed.close()
        assert [] == parsed._open
        return parsed

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name in _LOADING:
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["title"] and "svg" not in self._open:
            self.title += data
        elif self._open and "style" not in self._open:
            self.text += data
