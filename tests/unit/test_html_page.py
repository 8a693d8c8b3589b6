"""Pages of HTML: whatever text is put in, the page has the same elements, and shows the text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree.ElementTree import tostring

import pytest
from html_helpers import Page
from hypothesis import given
from hypothesis import strategies as st

from im2rec.inspection.html.page import POLICY, document, element, facts, foreign, named, table, visible

HOSTILE = {
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "\"' onload=x &amp; -->": "\"' onload=x &amp; -->",
    "</title></style><img src=http://a.b/c>": "</title></style><img src=http://a.b/c>",
    "a\x00b\x1bc\x7fd\x85e": "a\\x00b\\x1bc\\x7fd\\x85e",
    "gpj.\u202etxt\u2066": "gpj.\\u202etxt\\u2066",
    "a\udcffb\ud800": "a\\udcffb\\ud800",
    "one\r\ntwo\tthree\u2028four": "one two three four",
    "猫 قطة Größe 🐈": "猫 قطة Größe 🐈",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_text_at_every_place(text: str) -> None:
    page = Page.of(
        document(text, foreign(text), named("5", text), facts([("name", text)], text), table([text], [[text]], text))
    )

    assert HOSTILE[text] == page.title
    assert (
        page.tags
        == Page.of(document("a", foreign("a"), named("5", "a"), facts([("a", "a")], "a"), table("a", ["a"], "a"))).tags
    )
    assert 7 == page.text.count(HOSTILE[text])


@pytest.mark.parametrize("text", HOSTILE)
def test_an_attribute_ends_where_it_should(text: str) -> None:
    found: list[tuple[str, str | None]] = []

    class Attributes(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(attrs)

    Attributes().feed(tostring(element("img", alt=text, class_="a"), "unicode", method="html"))

    assert [("alt", HOSTILE[text]), ("class", "a")] == found


@given(st.text(st.characters()))
def test_any_text_gives_a_page_in_utf_8_with_the_same_elements(text: str) -> None:
    page = document("a", element("p", text, title=text))

    assert Page.of(document("a", element("p"))).tags == Page.of(page).tags
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page.decode())


def test_the_policy_comes_before_all_that_it_rules() -> None:
    page = document("a").decode()

    assert f'content="{POLICY}"' in page
    assert page.index("Content-Security-Policy") < min(page.index("<title"), page.index("<style"), page.index("<body"))
    assert "script" not in POLICY


def test_texts_and_elements_keep_their_order() -> None:
    made = element("p", "a", element("b", "c"), "d", None, "e", element("i"), "f")

    assert "<p>a<b>c</b>de<i></i>f</p>" == tostring(made, "unicode", method="html")


def test_a_name_has_a_direction_of_its_own() -> None:
    made = tostring(named("2", "قطة"), "unicode", method="html")

    assert '<span>2 <bdi dir="auto">قطة</bdi></span>' == made
    assert "<span>2</span>" == tostring(named("2", ""), "unicode", method="html")


def test_visible_text_is_not_changed() -> None:
    assert "a\u0301 \u05d0 \U0001f600" == visible("a\u0301 \u05d0 \U0001f600")
