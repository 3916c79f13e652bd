import numpy as np
import pytest

from common.visualization import apply_colormap, colorize_depth, error_map, side_by_side, to_uint8


def test_eight_bits_truncate_and_never_wrap():
    values = np.array([-0.5, 0.0, 0.999, 1.0, 1.7, np.nan])
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 254, 255, 255, 0])


def test_jet_is_blue_near_zero_and_red_near_one():
    colors = apply_colormap(np.array([[0.0, 1.0]]), "jet")
    assert colors[0, 0, 2] > 100 > colors[0, 0, 0]
    assert colors[0, 1, 0] > 100 > colors[0, 1, 2]
    with pytest.raises(ValueError, match="choose one of turbo"):
        apply_colormap(np.zeros((1, 1)), "rainbow")


def test_depth_colours_equal_idnerf_inside_the_range(golden):
    stored = golden("idnerf/depth_colours")
    depth = stored["in_depth"]
    inside = (depth >= 1) & (depth <= 4)
    colors = colorize_depth(depth, (1.0, 4.0), "jet")
    wrong = np.abs(colors.astype(int) - stored["out_given"])[inside].max(axis=-1) > 1
    assert inside.sum() > 100
    assert wrong.mean() < 0.01


def test_unknown_depth_is_black():
    depth = np.array([[0.0, np.nan, 2.0, 3.0]], np.float32)
    colors = colorize_depth(depth)
    assert not colors[0, :2].any()
    assert colors[0, 2:].any(axis=-1).all()
    assert not colorize_depth(np.zeros((2, 2), np.float32)).any()


def test_a_larger_error_is_brighter():
    truth = np.zeros((1, 3, 3), np.float32)
    prediction = np.array([0.0, 0.1, 0.3], np.float32)[None, :, None].repeat(3, -1)
    brightness = error_map(prediction, truth).sum(axis=-1)[0].astype(int)
    assert brightness[0] < brightness[1] < brightness[2]


def test_a_strip_has_all_pictures_at_one_height():
    red, blue = np.zeros((20, 30, 3), np.uint8), np.zeros((10, 30, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    strip = side_by_side([red, blue], gap=4)
    assert strip.shape == (20, 30 + 4 + 60, 3)
    assert (strip[:, :30] == red).all()
    assert (strip[:, 30:34] == 255).all()
    assert (strip[:, 34:] == [0, 0, 200]).all()
    labelled = side_by_side([red, blue], ["red", "blue"], gap=4)
    assert labelled.shape == strip.shape
    assert (labelled != strip).any()
    assert not red[..., 1].any()  # labels are drawn on a copy


def test_a_strip_needs_pictures_and_fitting_labels():
    with pytest.raises(ValueError, match="got 0 and 0"):
        side_by_side([])
    with pytest.raises(ValueError, match="got 1 and 2"):
        side_by_side([np.zeros((2, 2, 3), np.uint8)], ["a", "b"])
