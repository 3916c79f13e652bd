import numpy as np
import pytest

from common.demo.closeups import busiest_windows, closeup_rows
from common.demo.report import MethodSection, build_section
from common.metrics.images import psnr


def test_details_lie_where_the_photograph_varies_most():
    picture = np.full((60, 100, 3), 0.5, np.float32)
    picture[:, 50:] = 0.9  # one strong outline is no detail
    rng = np.random.default_rng(0)
    picture[5:18, 8:28] += rng.uniform(-0.1, 0.1, (13, 20, 1))
    picture[40:53, 70:90] += rng.uniform(-0.05, 0.05, (13, 20, 1))
    first, second = busiest_windows(picture, 2)
    assert first == (slice(5, 18), slice(8, 28))
    assert second == (slice(40, 53), slice(70, 90))


def test_windows_fit_into_small_pictures():
    for shape in ((8, 8, 3), (9, 30, 3), (50, 11, 3)):
        picture = np.random.default_rng(1).random(shape, np.float32)
        for rows, columns in busiest_windows(picture, 3):
            assert picture[rows, columns].shape[:2] == (8, 8)


def test_a_detail_shows_the_pixels_of_everybody(comparison):
    truth = comparison.truths[0][1].rgb
    rows = closeup_rows(comparison.outcomes, 0, 1, truth, "view 6", 2)
    assert [name for name, _ in rows] == ["Detail 1", "Detail 2"]
    window = busiest_windows(truth, 1)[0]
    for picture, outcome in zip(rows[0][1][1:], comparison.outcomes, strict=True):
        part = outcome.targets[0][1].rgb[window]
        np.testing.assert_array_equal(picture.pixels[1::3, 1::3], (255 * part.clip(0, 1)).astype(np.uint8))
        assert picture.detail == f"{psnr(part.clip(0, 1), truth[window]):.2f} dB"


@pytest.mark.parametrize("closeups", [0, 1])
def test_a_section_has_details_if_it_asks_for_them(comparison, tmp_path, closeups):
    html = build_section(MethodSection("sweep", "Sweep", [], comparison, closeups=closeups), tmp_path).html()
    assert html.count("<h5>Detail 1</h5>") == closeups * len(comparison.scenes[0].held_out)
