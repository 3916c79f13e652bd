import cv2
import numpy as np
import pytest

from common.datasets import undistortion
from common.datasets.scene import Distortion
from common.datasets.undistortion import distort_image, distort_points, undistort_image, undistort_points

INTRINSICS = np.array([[130.0, 0.5, 79.0], [0.0, 125.0, 61.0], [0.0, 0.0, 1.0]])
LENSES = [
    Distortion("opencv", (-0.1, 0.02, 1e-3, -2e-3, 0.01, 0.02, 0.03, 0.01)),
    Distortion("opencv", (0.15,)),
    Distortion("fisheye", (0.05, -0.02, 0.01, 0.002)),
    Distortion("fov", (0.9,)),
    Distortion("thin_prism_fisheye", (0.05, -0.02, 1e-3, 2e-3, 0.01, 0.0, 1e-3, -2e-3)),
]


def rays(count=30, reach=0.6):
    return np.random.default_rng(0).uniform(-reach, reach, (count, 2))


@pytest.mark.parametrize("coefficients", [(-0.1,), (0.05, -0.08, 1e-3, 2e-3), LENSES[0].coefficients])
def test_the_opencv_lens_is_that_of_opencv(coefficients):
    points = np.concatenate([rays(), np.ones((30, 1))], axis=1)
    padded = np.array([*coefficients, *[0.0] * (8 - len(coefficients))])
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), padded)[0][:, 0]
    np.testing.assert_allclose(distort_points(rays(), Distortion("opencv", coefficients)), expected, atol=1e-14)


def test_the_fisheye_lens_is_that_of_opencv():
    lens = LENSES[2]
    expected = cv2.fisheye.distortPoints(rays()[:, None], np.eye(3), np.array(lens.coefficients))[:, 0]
    np.testing.assert_allclose(distort_points(rays(), lens), expected, atol=1e-14)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_undistorting_inverts_distorting(lens):
    np.testing.assert_allclose(undistort_points(distort_points(rays(), lens), lens), rays(), atol=1e-9)


def test_a_place_that_no_ray_reaches_has_no_inverse():
    assert np.isnan(undistort_points(np.array([[5.0, 0.0]]), Distortion("fisheye", ()))).all()  # beyond 90 degrees


def test_a_fisheye_lens_without_coefficients_is_no_pinhole():
    assert Distortion("opencv", (0.0, 0.0)).is_zero and not Distortion("fisheye", (0.0,) * 4).is_zero
    np.testing.assert_allclose(distort_points(np.array([[1.0, 0.0]]), Distortion("fisheye", ())), [[np.pi / 4, 0]])


@pytest.mark.parametrize(
    ("lens", "sentence"),
    [
        (Distortion("fov", (0.9, 0.1)), "lens model 'fov' takes 1 coefficients, got 2"),
        (Distortion("opencv", (float("nan"),)), "lens coefficients are not finite"),
    ],
)
def test_lenses_that_make_no_sense_are_refused(lens, sentence):
    with pytest.raises(ValueError, match=sentence):
        distort_points(rays(), lens)


def smooth_picture():
    u, v = np.meshgrid(np.arange(160), np.arange(120))
    channels = [np.sin(u / 9.0), np.cos(v / 8.0), np.sin((u + v) / 11.0)]
    return (127.5 + 120 * np.stack(channels, axis=-1)).astype(np.float32)


def test_a_pinhole_picture_is_returned_untouched():
    picture = smooth_picture()
    assert undistort_image(picture, INTRINSICS, None) is picture
    assert undistort_image(picture, INTRINSICS, Distortion("opencv", (0.0, 0.0))) is picture


def test_the_picture_agrees_with_opencv():
    intrinsics = INTRINSICS * [[1, 0, 1], [1, 1, 1], [1, 1, 1]]  # OpenCV has no skew
    lens = Distortion("opencv", (-0.1, 0.02, 1e-3, -2e-3))
    expected = cv2.undistort(smooth_picture(), intrinsics, np.array(lens.coefficients))
    assert np.abs(undistort_image(smooth_picture(), intrinsics, lens) - expected).max() < 1.0  # it rounds to 1/32 pixel


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
@pytest.mark.parametrize("origin", ["center", "corner"])
def test_what_a_lens_does_to_a_picture_is_undone(lens, origin):
    picture = smooth_picture()
    there = distort_image(picture, INTRINSICS, lens, origin)
    back = undistort_image(there, INTRINSICS, lens, origin)
    inside = np.s_[20:-20, 30:-30]
    # Two bilinear look-ups cost little against what the lens does.
    assert 10 * np.abs(back - picture)[inside].mean() < np.abs(there - picture)[inside].mean()


def test_masks_and_depth_stay_what_they_are():
    lens = Distortion("opencv", (-0.2,))
    depth = np.where(np.arange(160) < 80, np.float32(2), np.float32(5))[None].repeat(120, axis=0)
    assert set(np.unique(undistort_image(depth, INTRINSICS, lens, interpolation=cv2.INTER_NEAREST))) <= {0, 2, 5}
    mask = undistort_image(depth > 3, INTRINSICS, lens, interpolation=cv2.INTER_NEAREST)
    assert mask.dtype == bool and mask[:, 90:150].all() and not mask[:, :70].any()


def test_pixels_that_the_lens_did_not_see_are_black():
    picture = np.full((120, 160), 200, np.uint8)
    corner = undistort_image(picture, INTRINSICS, Distortion("opencv", (0.5,)))[0, 0]
    assert corner == 0


@pytest.mark.parametrize("pixel_origin", ["center", "corner"])
def test_the_height_of_the_bands_does_not_matter(monkeypatch, pixel_origin):
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)

    def undistorted(rows):
        monkeypatch.setattr(undistortion, "BAND_ROWS", rows)
        undistortion._lens_map.cache_clear()
        return undistort_image(picture, INTRINSICS, LENSES[0], pixel_origin)

    np.testing.assert_array_equal(undistorted(7), undistorted(1000))
    undistortion._lens_map.cache_clear()
