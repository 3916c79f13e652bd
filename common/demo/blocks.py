"""The page as data: blocks that know how to write themselves as HTML. Texts are escaped here and nowhere else.

The page is one file: pictures and videos are embedded, nothing is loaded from anywhere.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8


class Block(ABC):
    """A piece of the page."""

    @abstractmethod
    def html(self) -> str:
        """The piece as HTML."""


@dataclass(frozen=True)
class Paragraph(Block):
    """A paragraph; `quiet` ones are set smaller."""

    text: str
    quiet: bool = False

    def html(self) -> str:
        """The piece as HTML."""
        kind = ' class="quiet"' if self.quiet else ""
        return f"<p{kind}>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Heading(Block):
    """A heading below the section's own (level 3 or 4)."""

    text: str
    level: int = 3

    def html(self) -> str:
        """The piece as HTML."""
        return f"<h{self.level}>{escape(self.text)}</h{self.level}>"


@dataclass(frozen=True)
class Table(Block):
    """Numbers; the first cell of each row names it, the others are right-aligned.

    Attributes:
        caption: What the numbers are and how they were measured.
        header: Names of the columns.
        rows: As many cells as the header.
        strong: (row, column) of cells to emphasise, the best of a column say.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[tuple[int, int]] = frozenset()

    def html(self) -> str:
        """The piece as HTML."""
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.header)
        body = "".join(self._row(number, row) for number, row in enumerate(self.rows))
        return (
            f'<figure class="table"><div class="scroll">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )

    def _row(self, number: int, row: Sequence[str]) -> str:
        cells = [f'<th scope="row">{escape(row[0])}</th>']
        for column, text in enumerate(row[1:], 1):
            content = f"<strong>{escape(text)}</strong>" if (number, column) in self.strong else escape(text)
            cells.append(f"<td>{content}</td>")
        return f"<tr>{''.join(cells)}</tr>"


@dataclass(frozen=True)
class Picture:
    """An embedded picture.

    Attributes:
        pixels: RGB.
        alt: What it shows, for those who cannot see it.
        label: Printed below it.
        detail: Printed behind the label, a number say.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    alt: str
    label: str
    detail: str = ""

    def html(self) -> str:
        """A figure."""
        H, W = self.pixels.shape[:2]
        detail = f" <span>{escape(self.detail)}</span>" if self.detail else ""
        return (
            f'<figure><img src="{picture_uri(self.pixels)}" width="{W}" height="{H}" alt="{escape(self.alt)}">'
            f"<figcaption>{escape(self.label)}{detail}</figcaption></figure>"
        )


@dataclass(frozen=True)
class PictureGrid(Block):
    """Pictures in rows of equal length; on narrow screens each row breaks in two columns.

    Attributes:
        rows: (name of the row, pictures).
        columns: How many stand side by side on a wide screen.
        is_strip: Keeps all columns on narrow screens too, and stays small on wide ones.
    """

    rows: Sequence[tuple[str, Sequence[Picture]]]
    columns: int
    is_strip: bool = False

    def html(self) -> str:
        """The piece as HTML."""
        parts = []
        for name, pictures in self.rows:
            title = f"<h5>{escape(name)}</h5>" if name else ""
            figures = "".join(picture.html() for picture in pictures)
            kind = "pictures strip" if self.is_strip else "pictures"
            parts.append(f'{title}<div class="{kind}" style="--columns:{self.columns}">{figures}</div>')
        return "".join(parts)


@dataclass(frozen=True)
class Slider(Block):
    """Two pictures of the same size, one over the other, with a handle that uncovers more of the one or the other."""

    left: Picture
    right: Picture

    def html(self) -> str:
        """The piece as HTML."""
        (H, W), pictures = self.left.pixels.shape[:2], (self.right, self.left)
        images = "".join(
            f'<img src="{picture_uri(p.pixels)}" width="{W}" height="{H}" alt="{escape(p.alt)}">' for p in pictures
        )
        label = f"How much of {self.left.label} to show beside {self.right.label}"
        return (
            f'<figure class="slider"><div style="--cut:50%">{images}'
            f'<input type="range" min="0" max="100" value="50" aria-label="{escape(label)}" '
            "oninput=\"this.parentNode.style.setProperty('--cut',this.value+'%')\"></div>"
            f"<figcaption><span>{escape(self.left.label)}</span><span>drag to compare</span>"
            f"<span>{escape(self.right.label)}</span></figcaption>"
            "</figure>"
        )


@dataclass(frozen=True)
class Video(Block):
    """An embedded MP4 that plays in a loop.

    Attributes:
        path: The file.
        size: (width, height) of the frames.
        poster: Shown before it plays.
        caption: What it shows.
    """

    path: Path
    size: tuple[int, int]
    poster: UInt8[np.ndarray, "H W 3"]
    caption: str

    def html(self) -> str:
        """The piece as HTML."""
        data = base64.b64encode(self.path.read_bytes()).decode("ascii")
        return (
            f'<figure class="video"><video controls loop muted autoplay playsinline width="{self.size[0]}" '
            f'height="{self.size[1]}" poster="{picture_uri(self.poster)}" aria-label="{escape(self.caption)}" '
            f'src="data:video/mp4;base64,{data}"></video><figcaption>{escape(self.caption)}</figcaption></figure>'
        )


@dataclass(frozen=True)
class Row(Block):
    """Blocks side by side on a wide screen."""

    blocks: Sequence[Block]

    def html(self) -> str:
        """The piece as HTML."""
        return f'<div class="row">{"".join(block.html() for block in self.blocks)}</div>'


@dataclass(frozen=True)
class Details(Block):
    """Blocks that are shown on request."""

    summary: str
    blocks: Sequence[Block]

    def html(self) -> str:
        """The piece as HTML."""
        inner = "".join(block.html() for block in self.blocks)
        return f"<details><summary>{escape(self.summary)}</summary>{inner}</details>"


@dataclass(frozen=True)
class Section:
    """One method's part of the page, or the overview.

    Attributes:
        key: Anchor.
        title: Heading.
        blocks: Content.
    """

    key: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)

    def html(self) -> str:
        """The section with its heading."""
        inner = "".join(block.html() for block in self.blocks)
        return f'<section id="{escape(self.key)}"><h2>{escape(self.title)}</h2>{inner}</section>'


def page_html(title: str, lead: str, sections: Sequence[Section], foot: str) -> str:
    """The whole page as one HTML document."""
    style, viewer = (
        resources.files("common.demo").joinpath(name).read_text(encoding="utf8") for name in ("page.css", "viewer.js")
    )
    anchors = "".join(f'<a href="#{escape(section.key)}">{escape(section.title)}</a>' for section in sections)
    links = f'<nav aria-label="Sections">{anchors}</nav>' if len(sections) > 1 else ""
    body = "".join(section.html() for section in sections)
    script = f"<script>{viewer}</script>" if '<div class="meshes"' in body else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{style}</style></head><body>'
        f"<header><h1>{escape(title)}</h1><p>{escape(lead)}</p>{links}</header>"
        f"<main>{body}</main><footer><p>{escape(foot)}</p></footer>{script}</body></html>\n"
    )


def picture_uri(pixels: UInt8[np.ndarray, "H W 3"], quality: int = 92) -> str:
    """The picture as a data URI (WebP)."""
    done, data = cv2.imencode(".webp", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a picture as WebP; install the wheel `opencv-python`")
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
