"""One HTML file with everything inside: no script, nothing fetched; light and dark, phone and desk.

A page is a title, a lead and sections; a section holds blocks, each already a piece of HTML made here.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from fullyconv.atomic import write_whole

__all__ = ["Page", "Section", "make_figure", "make_figures", "make_table", "make_text"]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and blocks of HTML under it."""

    heading: str
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole document.

    Attributes:
        title: the heading, and what the browser's tab says.
        lead: a sentence or two under it.
        facts: short figures with what they mean, shown large: `(figure, meaning)`.
        sections: the rest, in order.
    """

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def to_html(self) -> str:
        """Returns the document."""
        facts = "".join(
            f"<li><strong>{escape(figure)}</strong><span>{escape(meaning)}</span></li>"
            for figure, meaning in self.facts
        )
        sections = "".join(
            f"<section><h2>{escape(section.heading)}</h2>{''.join(section.blocks)}</section>"
            for section in self.sections
        )
        return _DOCUMENT.format(
            title=escape(self.title), lead=escape(self.lead), style=_STYLE, facts=facts, sections=sections
        )

    def write(self, path: Path) -> None:
        """Writes the document to `path`, whole or not at all.

        Raises:
            OutputError: it cannot be written there.
        """
        with write_whole(path) as part:
            part.write_text(self.to_html(), encoding="utf-8")


def make_text(text: str, *, note: bool = False) -> str:
    """Returns a paragraph; a note is one that warns or qualifies, and is set apart."""
    return f'<p class="note">{escape(text)}</p>' if note else f"<p>{escape(text)}</p>"


def make_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Returns a table that scrolls sideways where it does not fit; all columns but the first are figures."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption or head[0])}">'
        f"<table>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def make_figure(image: Path | Image.Image, *, alt: str, caption: str, width_px: int = 1200) -> str:
    """Returns a picture inside the page, no wider than `width_px`, as JPEG, with its caption."""
    data = base64.b64encode(_encode_jpeg(image, width_px)).decode("ascii")
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{escape(alt)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def make_figures(figures: Iterable[str]) -> str:
    """Returns figures in up to three columns, as many as fit."""
    listed = list(figures)
    return f'<div class="grid" style="column-count:{min(3, len(listed))}">{"".join(listed)}</div>'


def _encode_jpeg(image: Path | Image.Image, width_px: int) -> bytes:
    opened = Image.open(image) if isinstance(image, Path) else image
    picture = opened.convert("RGB")
    if picture.width > width_px:
        picture = picture.resize((width_px, round(picture.height * width_px / picture.width)))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85, optimize=True)
    return stream.getvalue()


_STYLE = """
:root{color-scheme:light dark;--bg:#fbfbf9;--card:#fff;--ink:#1b1f24;--dim:#5b6570;--line:#dfe3e6;
--accent:#0b6e63}
@media (prefers-color-scheme:dark){:root{--bg:#13171b;--card:#1b2026;--ink:#e8ebee;--dim:#9aa6b2;
--line:#2d343c;--accent:#4fc9b8}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:17px/1.6 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.1rem 4rem}
h1{font-size:clamp(1.7rem,5vw,2.6rem);line-height:1.15;margin:0 0 .6rem;letter-spacing:-.02em}
h2{font-size:1.35rem;line-height:1.3;margin:3rem 0 .6rem}
p{margin:.6rem 0;max-width:44rem}
.lead{font-size:1.12rem;color:var(--dim)}
.note{border-left:3px solid var(--accent);padding:.1rem 0 .1rem .9rem}
.facts{list-style:none;margin:1.8rem 0 0;padding:0;display:grid;gap:.8rem;
grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr))}
.facts li{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.9rem 1rem}
.facts strong{display:block;font-size:1.55rem;line-height:1.2;color:var(--accent);
font-variant-numeric:tabular-nums}
.facts span{display:block;font-size:.86rem;line-height:1.4;color:var(--dim);margin-top:.25rem}
figure{margin:1.2rem 0 0}
img{display:block;width:100%;height:auto;border-radius:8px;border:1px solid var(--line)}
figcaption{font-size:.88rem;color:var(--dim);margin-top:.4rem;line-height:1.45}
.grid{column-width:15rem;column-gap:1rem}
.grid figure{break-inside:avoid;margin:0;padding-top:1.2rem}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.95rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--dim);font-size:.88rem;padding-bottom:.4rem}
th,td{padding:.45rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child{text-align:left;padding-left:0;white-space:normal;font-weight:500}
thead th{color:var(--dim);font-weight:500;font-size:.86rem;vertical-align:bottom}
footer{margin-top:3.5rem;color:var(--dim);font-size:.85rem;border-top:1px solid var(--line);padding-top:1rem}
""".strip()

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header><h1>{title}</h1><p class="lead">{lead}</p><ul class="facts">{facts}</ul></header>
{sections}
</main>
</body>
</html>
"""
