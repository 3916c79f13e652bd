import numpy as np
import pytest

from common.metrics.images import psnr, ssim


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    truth = generator.random((30, 41, 3)).astype(np.float32)
    return (truth + generator.normal(0, 0.1, truth.shape)).astype(np.float32), truth


def test_psnr_of_a_tenth_is_twenty_decibel():
    truth = np.zeros((4, 5, 3), np.float32)
    assert psnr(truth + np.float32(0.1), truth) == pytest.approx(20, abs=1e-5)
    assert psnr(truth, truth) == float("inf")


def test_psnr_counts_the_mask_only():
    truth = np.zeros((4, 5, 3), np.float32)
    prediction, mask = truth.copy(), np.zeros((4, 5), bool)
    mask[0] = True
    prediction[0], prediction[1:] = 0.1, 7
    assert psnr(prediction, truth, mask) == pytest.approx(20, abs=1e-5)
    with pytest.raises(ValueError, match="mask is empty"):
        psnr(prediction, truth, np.zeros((4, 5), bool))


@pytest.mark.parametrize(("data_range", "window"), [(1.0, 7), (2.0, 7), (1.0, 11)])
def test_uniform_ssim_equals_scikit_image(pair, data_range, window):
    from skimage.metrics import structural_similarity

    expected = structural_similarity(
        *[p.astype(np.float64) for p in pair], win_size=window, data_range=data_range, channel_axis=-1
    )
    assert ssim(*pair, data_range=data_range, window=window) == pytest.approx(expected, abs=1e-9)


def test_gaussian_ssim_equals_scikit_image(pair):
    from skimage.metrics import structural_similarity

    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 1.0,
        "channel_axis": -1,
    }
    expected = structural_similarity(*[p.astype(np.float64) for p in pair], **options)
    assert ssim(*pair, window=11, sigma=1.5) == pytest.approx(expected, abs=1e-9)


def test_equal_pictures_have_similarity_one(pair):
    assert ssim(pair[0], pair[0]) == pytest.approx(1)


def test_a_picture_smaller_than_the_window_is_refused(pair):
    with pytest.raises(ValueError, match="window of 11 pixels needs larger pictures than 41 x 8"):
        ssim(pair[0][:8], pair[1][:8], window=11)
