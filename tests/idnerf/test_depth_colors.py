import numpy as np
import pytest

from common.visualization import apply_colormap
from idnerf.depth_colors import automatic_range, depth_colors


@pytest.mark.parametrize("kind", ["given", "auto"])
def test_colours_are_the_papers(golden, kind):
    stored = golden("idnerf/depth_colours")
    depth = stored["in_depth"].copy()
    depth[depth == -1] = np.nan
    found = depth_colors(depth, (1.0, 4.0) if kind == "given" else None)
    difference = np.abs(found.astype(int) - stored[f"out_{kind}"].astype(int)).max(axis=-1)
    assert np.mean(difference > 0) <= 0.01
    np.testing.assert_allclose(automatic_range(np.nan_to_num(depth)), stored["out_auto_range"], rtol=1e-6)


def test_depth_beyond_the_range_begins_again():
    depth = np.array([[1.0, 2.0, 3.0 + 1 / 64, 0.99]], np.float32)
    blue, *_, red = apply_colormap(np.linspace(0, 1, 256, dtype=np.float32)[None], "jet")[0]
    near, far, beyond, before = depth_colors(depth, (1.0, 2.0))[0]
    assert (near == blue).all() and (far == red).all()
    assert beyond[2] > 100 and beyond[0] == 0  # blue again
    assert before[0] > 100 and before[2] == 0  # red again


def test_a_picture_without_depth_has_a_range():
    assert automatic_range(np.zeros((2, 3), np.float32)) == (0.0, 1.0)
    assert depth_colors(np.full((2, 3), np.inf, np.float32)).shape == (2, 3, 3)
