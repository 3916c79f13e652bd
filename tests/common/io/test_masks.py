import numpy as np
import pytest

from common.io.images import write_pixels
from common.io.masks import read_mask, write_mask


def test_soft_edges_are_cut_at_the_named_threshold(tmp_path):
    write_pixels(tmp_path / "a.png", np.array([[0, 1, 10, 11, 128, 255]], np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[0, 1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", 10), [[0, 0, 0, 1, 1, 1]])
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", 128), [[0, 0, 0, 0, 0, 1]])


def test_any_channel_of_three_counts(tmp_path):
    write_pixels(tmp_path / "a.png", np.array([[[0, 0, 0], [0, 0, 9]]], np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[False, True]])


def test_of_four_channels_only_the_alpha_counts(tmp_path):
    write_pixels(tmp_path / "a.png", np.array([[[255, 255, 255, 0], [0, 0, 0, 255]]], np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[False, True]])


def test_the_threshold_of_a_sixteen_bit_mask_is_on_the_same_scale(tmp_path):
    write_pixels(tmp_path / "a.png", np.array([[0, 128 * 257, 129 * 257]], np.uint16))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", 128), [[False, False, True]])


def test_an_inverted_mask_marks_what_to_ignore(tmp_path):
    write_pixels(tmp_path / "a.png", np.array([[0, 255]], np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", inverted=True), [[True, False]])


@pytest.mark.parametrize("shape", [(1, 1), (5, 3)])
def test_a_mask_comes_back(tmp_path, shape):
    mask = np.random.default_rng(0).random(shape) > 0.5
    write_mask(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", 128), mask)
