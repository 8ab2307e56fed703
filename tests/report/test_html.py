"""A page is one file that needs no other, is well-formed, and says what its pictures show."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fullyconv.errors import OutputError
from fullyconv.report.html import Page, Section, make_figure, make_figures, make_table, make_text

PICTURE = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
VOID = {"meta", "img"}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def make_page() -> Page:
    figure = make_figure(PICTURE, alt="four <pixels>", caption="a & b")
    table = make_table(("way", "time"), [("crops", "1 s"), ("<b>", "2 s")], caption="times")
    blocks = (make_text("x < y"), make_text("careful", note=True), make_figures([figure, figure]), table)
    return Page("A title & more", "Lead.", (("6x", "faster"),), (Section("Heading", blocks),))


def test_the_page_is_well_formed():
    reader = Reader()
    reader.feed(make_page().to_html())
    assert reader.open == []
    assert [image["alt"] for image in reader.images] == ["four <pixels>"] * 2


def test_the_page_needs_nothing_else():
    html = make_page().to_html()
    assert "<script" not in html
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    assert re.findall(r"url\(|@import|//", re.sub(r'"data:[^"]*"', "", html)) == []


def test_text_is_escaped():
    html = make_page().to_html()
    assert "x &lt; y" in html
    assert "&lt;b&gt;" in html
    assert "A title &amp; more" in html


def test_it_suits_phones_and_dark_rooms():
    html = make_page().to_html()
    assert 'name="viewport"' in html
    assert "prefers-color-scheme:dark" in html


def test_large_pictures_are_made_smaller():
    large = Image.new("RGB", (300, 100))
    data = re.search(r"base64,([^\"]+)", make_figure(large, alt="black", caption="", width_px=30))
    assert data is not None
    assert Image.open(io.BytesIO(base64.b64decode(data[1]))).size == (30, 10)


def test_it_is_written_whole_or_not_at_all(tmp_path):
    make_page().write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == make_page().to_html()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made a folder"):
        make_page().write(tmp_path / "file" / "page.html")
