import dataclasses
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from common.demo.blocks import page_html
from common.demo.report import MethodSection, build_section, numbers, summary_table

VOID = {"img", "meta", "input", "br", "link"}


class Page(HTMLParser):
    """Collects elements and checks that every one is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def method(comparison):
    return MethodSection("sweep", "Plane sweep & friends", ["What it does."], comparison)


@pytest.fixture(scope="module")
def html(method, tmp_path_factory):
    section = build_section(method, tmp_path_factory.mktemp("page"))
    return page_html("A <title>", "Lead.", [section, section], "Foot.")


def test_the_page_is_well_formed_and_its_texts_are_escaped(html):
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert "A <title>" in page.texts
    assert any("Toy <scene>" in text for text in page.texts)
    assert [name for name, _ in page.elements].count("h1") == 1
    assert {"viewport", "color-scheme"} <= {meta.get("name") for meta in page.all("meta")}


def test_the_page_loads_nothing_from_anywhere(html):
    page = Page(html)
    loaded = [value for _, found in page.elements for key, value in found.items() if key in ("src", "poster", "data")]
    assert loaded
    assert all(value.startswith("data:") for value in loaded)
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert not page.all("link") and not page.all("script") and not page.all("iframe")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_every_picture_says_what_it_shows_and_can_be_decoded(html):
    import base64

    pictures = Page(html).all("img")
    assert len(pictures) > 20
    for picture in pictures:
        assert picture["alt"].strip()
        data = base64.b64decode(picture["src"].split(",")[1])
        shape = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape
        assert shape[:2] == (int(picture["height"]), int(picture["width"]))


def test_the_video_is_embedded_and_beside_the_page(method, tmp_path):
    section = build_section(method, tmp_path)
    videos = Page(section.html()).all("video")
    assert len(videos) == 1
    assert videos[0]["src"].startswith("data:video/mp4;base64,")
    capture = cv2.VideoCapture(str(tmp_path / "sweep_scene1.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_every_number_of_the_table_was_measured_in_the_run(method, comparison):
    table, results = summary_table(comparison), numbers(method)
    columns = {name: [row[index] for row in table.rows] for index, name in enumerate(table.header)}
    for contestant in results["contestants"]:
        mean, cells = contestant["mean"], columns[contestant["name"]]
        seconds = [contestant["prepare_seconds"], contestant["seconds_per_view"]]
        assert cells == [
            f"{mean['psnr']:.2f} dB",
            f"{mean['ssim']:.3f}",
            "not measured",
            "none" if mean["depth_error"] is None else f"{100 * mean['depth_error']:.2f}%",
            *(_readable(value) for value in seconds),
            f"{contestant['peak_bytes'] / 1e6:.0f} MB",
        ]
        views = [view["psnr"] for view in contestant["views"]]
        assert mean["psnr"] == pytest.approx(np.mean(views))
    assert "LPIPS was not measured: no <weights>." in table.caption
    assert results["protocol"] in table.caption
    json.dumps(results)


def _readable(seconds):
    if seconds < 0.001:
        return "< 1 ms"
    return f"{1000 * seconds:.0f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def test_every_number_below_a_picture_was_measured_in_the_run(html, method):
    results = numbers(method)["contestants"]
    measured = {f"{view['psnr']:.2f} dB" for contestant in results for view in contestant["views"]}
    measured |= {f"{100 * view['depth_error']:.2f}% off" for view in results[0]["views"]}
    shown = {text for text in Page(html).texts if re.fullmatch(r"[\d.]+( dB|% off)", text)}
    table = {cell for row in summary_table(method.comparison).rows for cell in row}
    assert measured <= shown <= measured | table


def test_the_better_quality_is_marked(comparison):
    table = summary_table(comparison)
    rows = [row[0] for row in table.rows]
    assert (rows.index("PSNR"), 1) in table.strong
    assert not {row for row, _ in table.strong} & {rows.index(name) for name in ("LPIPS", "Per view", "Peak memory")}


def test_views_beyond_the_first_two_are_folded_away(html):
    assert "1 more held-out view of Toy" in html
    assert Page(html).all("details")


def test_memory_of_what_was_fitted_is_shown_where_something_was(comparison):
    assert "Stored" not in [row[0] for row in summary_table(comparison).rows]
    fitted = [
        dataclasses.replace(outcome, stored_bytes=size)
        for outcome, size in zip(comparison.outcomes, (2_500_000, 4_800), strict=True)
    ]
    table = summary_table(dataclasses.replace(comparison, outcomes=fitted))
    assert next(row for row in table.rows if row[0] == "Stored") == ["Stored", "2.5 MB", "4.8 kB"]


def test_depths_of_a_given_surface_are_not_compared(comparison, tmp_path):
    scenes = [dataclasses.replace(scene, surface_is_given=True) for scene in comparison.scenes]
    given = dataclasses.replace(comparison, scenes=scenes)
    assert "Depth error" not in [row[0] for row in summary_table(given).rows]
    html = build_section(MethodSection("sweep", "Sweep", [], given), tmp_path).html()
    assert "True depth" not in html and "Depth error" not in html


def test_many_inputs_are_counted_and_not_shown(comparison, tmp_path):
    scene = comparison.scenes[0]
    items = tuple(dataclasses.replace(item, sources=tuple(range(8)) * 2) for item in scene.held_out)
    many = dataclasses.replace(comparison, scenes=[dataclasses.replace(scene, held_out=items)])
    html = build_section(MethodSection("sweep", "Sweep", [], many), tmp_path).html()
    assert "rendered from 16 photographs" in html and "Input photograph" not in html
