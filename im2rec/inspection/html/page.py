"""Build a page of HTML from elements, so that every text is escaped, and that no text can change how others are read.

The standard library writes the elements (``xml.etree.ElementTree``). A policy in the page forbids scripts, and whatever
is not in the file itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

from im2rec.images.wrapping import MAX_NAME, clipped
from im2rec.inspection.html.style import STYLE

Child = Element | str | None
MAX_CHARACTERS = 1000  # of a text from a file, which may be of any length
_SHORT = 24  # characters of a name that is always shown whole
# Images in the page itself, and the styles of the page and of its elements; no script, font, frame, form or base.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_BLANKS = re.compile(r"[\t\n\r\u2028\u2029]+")
# Control characters, those that turn the direction of the text behind them, halves of pairs, and no characters.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def element(tag: str, *children: Child, **attributes: str | None) -> Element:
    """Return an element with *children* in their order, texts and elements; those that are None are left out.

    Attributes that are None are left out, too. ``class_`` is the class, and other underscores are hyphens.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), visible(value))
    last: Element | None = None
    for child in children:
        if isinstance(child, str):
            if last is None:
                made.text = (made.text or "") + visible(child)
            else:
                last.tail = (last.tail or "") + visible(child)
        elif child is not None:
            made.append(child)
            last = child
    return made


def visible(text: str) -> str:
    r"""Return *text* with blanks for ends of lines, and escapes like ``\u202e`` for what a reader cannot see."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), _BLANKS.sub(" ", text))


def foreign(text: str, tag: str = "span", most: int = MAX_CHARACTERS) -> Element:
    """Return *text*, which comes from a file, in an element of its own: its direction is that of its first letter."""
    return element(
        tag, clipped(text, most), dir="auto", title=clipped(text, MAX_CHARACTERS) if len(text) > most else None
    )


def named(text: str, name: str) -> Element:
    """Return *text*, and behind it the *name* that a file has for it, of which the page shows a few lines."""
    is_long = len(text) + len(name) > _SHORT
    shown = foreign(name, "bdi", MAX_NAME) if name else None
    return element(
        "span",
        clipped(text, MAX_NAME),
        " " if name else None,
        shown,
        title=clipped(f"{text} {name}", 2 * MAX_NAME) if is_long else None,
    )


def table(head: Iterable[str], rows: Iterable[Iterable[Child]], title: str, note: str = "") -> Element:
    """Return a table with the names of its columns in *head*, which scrolls alone where it is wider than the page.

    The *title* is for those who do not see the page, *note* is shown above the table.
    """
    names = element("tr", *(element("th", name, scope="col") for name in head))
    lines = [element("tr", *(element("td", cell) for cell in cells)) for cells in rows]
    caption = element("caption", note or title, class_=None if note else "hidden")
    inner = element("table", caption, element("thead", names), element("tbody", *lines))
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=title)


def facts(rows: Iterable[tuple[str, str]], caption: str) -> Element:
    """Return a table of names and values; rows without a value are left out, one without a name goes on."""
    shown = [
        element("tr", element("th", name, scope="row"), element("td", foreign(value))) for name, value in rows if value
    ]
    return element("table", element("caption", caption, class_="hidden"), element("tbody", *shown), class_="facts")


def section(name: str, heading: str, *children: Child) -> Element:
    """Return a part of the page with a *heading*; *name* is its anchor."""
    title = element("h2", heading, id=name)
    return element("section", title, *children, aria_labelledby=name)


def document(title: str, *children: Child) -> bytes:
    """Return the bytes of a page with *children* in it, in UTF-8."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", clipped(title, MAX_CHARACTERS)),
        element("style", STYLE),
    )
    page = element("html", head, element("body", element("main", *children)), lang="en")
    return b"<!DOCTYPE html>\n" + tostring(page, "unicode", method="html").encode() + b"\n"
