import dataclasses

import cv2
import numpy as np
import pytest

from common.datasets.loading import distance_to_depth, load_depth, load_depth_file, load_image, load_mask
from common.datasets.scene import DepthFile, Distortion, ImageFile, MaskFile, View
from common.datasets.undistortion import distort_image
from common.io.images import write_image, write_pixels
from common.io.pfm import write_pfm

INTRINSICS = np.array([[20.0, 0.0, 7.0], [0.0, 22.0, 5.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def view(tmp_path):
    """A view of 16 x 12 pixels with picture, depth and mask."""
    random = np.random.default_rng(0)
    write_image(tmp_path / "a.png", random.integers(256, size=(12, 16, 3)).astype(np.uint8))
    write_pfm(tmp_path / "a.pfm", random.uniform(1, 2, (12, 16)).astype(np.float32))
    write_pixels(tmp_path / "mask.png", random.integers(256, size=(12, 16)).astype(np.uint8))
    return View(
        name="a",
        image=ImageFile(tmp_path / "a.png", (16, 12)),
        intrinsics=INTRINSICS,
        world_to_cam=np.eye(4),
        depth=DepthFile(tmp_path / "a.pfm", "pfm"),
        mask=MaskFile(tmp_path / "mask.png", 100),
    )


def test_arrays_have_the_size_of_the_picture_or_the_one_asked_for(view):
    assert load_image(view).shape == (12, 16, 3)
    assert load_depth(view).shape == load_mask(view).shape == (12, 16)
    assert load_image(view, (8, 6)).shape == (6, 8, 3)
    assert load_depth(view, (8, 6)).shape == load_mask(view, (8, 6)).shape == (6, 8)


def test_shrinking_by_two_averages_colours_and_keeps_every_second_depth(view):
    image = load_image(view)
    np.testing.assert_allclose(load_image(view, (8, 6)), image.reshape(6, 2, 8, 2, 3).mean(axis=(1, 3)), atol=1e-6)
    np.testing.assert_array_equal(load_depth(view, (8, 6)), load_depth(view)[::2, ::2])
    np.testing.assert_array_equal(load_mask(view, (8, 6)), load_mask(view)[::2, ::2])
    nearest = load_image(view, (8, 6), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(nearest, image[::2, ::2])


def test_cropping_after_a_resize_equals_resizing_the_crop(view):
    whole, part = load_image(view, (8, 6))[1:, 2:], load_image(view)[2:, 4:]
    np.testing.assert_allclose(whole, cv2.resize(part, (6, 5), interpolation=cv2.INTER_AREA), atol=1e-6)


def test_a_depth_map_of_another_size_is_brought_to_the_picture(view):
    write_pfm(view.depth.path, np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    depth = load_depth(view)
    np.testing.assert_array_equal(
        depth[[0, 5, 6, 11]][:, [0, 7, 8, 15]], np.repeat([[1, 2], [3, 4]], 2, 0).repeat(2, 1)
    )
    assert load_depth_file(view.depth).shape == (2, 2)


def test_a_mask_of_another_size_is_brought_to_the_picture(view):
    write_pixels(view.mask.path, np.array([[255, 0]], np.uint8))
    np.testing.assert_array_equal(load_mask(view), np.broadcast_to(np.arange(16) < 8, (12, 16)))


def test_depth_that_is_no_positive_number_is_unknown(view):
    write_pfm(view.depth.path, np.array([[np.nan, np.inf, -np.inf], [-1.0, 0.0, 5.0]], np.float32))
    np.testing.assert_array_equal(load_depth_file(view.depth), [[0, 0, 0], [0, 0, 5]])


def test_the_unit_is_multiplied_in(view):
    doubled = dataclasses.replace(view.depth, unit=2.0)
    np.testing.assert_array_equal(load_depth_file(doubled), 2 * load_depth_file(view.depth))


def test_dtu_cuts_its_maps_after_halving_them(view):
    cut = dataclasses.replace(view.depth, halve_and_crop=(1, 2, 5, 3))
    np.testing.assert_array_equal(load_depth_file(cut), load_depth_file(view.depth)[4:10:2, 2:12:2])
    with pytest.raises(ValueError, match=r"a.pfm is too small to cut out 8 x 3 pixels at 1, 2"):
        load_depth_file(dataclasses.replace(view.depth, halve_and_crop=(1, 2, 8, 3)))


@pytest.mark.parametrize("origin", ["center", "corner"])
def test_a_plane_stored_as_distances_along_the_rays_comes_out_flat(view, origin):
    shift = 0.5 if origin == "corner" else 0.0
    u, v = np.meshgrid(np.arange(16) + shift, np.arange(12) + shift)
    distance = 3 * np.sqrt(((u - 7) / 20) ** 2 + ((v - 5) / 22) ** 2 + 1)
    write_pfm(view.depth.path, distance.astype(np.float32))
    along = dataclasses.replace(view, depth=dataclasses.replace(view.depth, along_ray=True))
    np.testing.assert_allclose(load_depth(along, pixel_origin=origin), 3, rtol=1e-6)
    np.testing.assert_allclose(distance_to_depth(distance, INTRINSICS, origin), 3, rtol=1e-12)


def test_a_view_with_a_lens_is_undistorted(tmp_path):
    lens = Distortion("opencv", (-0.3, 0.05))
    intrinsics = np.array([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]])
    x, y = np.meshgrid(np.linspace(0, 3, 64), np.linspace(0, 2, 48))
    smooth = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1).astype(np.float32) * 0.4 + 0.5
    write_image(tmp_path / "a.png", distort_image(smooth, intrinsics, lens))
    view = View("a", ImageFile(tmp_path / "a.png", (64, 48)), intrinsics, np.eye(4), distortion=lens)
    np.testing.assert_allclose(load_image(view)[4:-4, 4:-4], smooth[4:-4, 4:-4], atol=0.015)
    straight = dataclasses.replace(view, distortion=None)
    assert np.abs(load_image(straight) - smooth)[4:-4, 4:-4].max() > 0.06


def test_what_a_view_does_not_have_is_said(view):
    bare = dataclasses.replace(view, image=None, depth=None, mask=None)
    for load, thing in ((load_image, "no picture"), (load_depth, "no depth map"), (load_mask, "no mask")):
        with pytest.raises(ValueError, match=f"view 'a' has {thing}"):
            load(bare)


def test_a_picture_that_changed_since_it_was_listed_is_refused(view):
    write_image(view.image.path, np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a.png has 5 x 5 pixels, expected 16 x 12"):
        load_image(view)
    view.image.path.unlink()
    with pytest.raises(FileNotFoundError, match=r"a.png"):
        load_image(view)
