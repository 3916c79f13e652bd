import numpy as np
import pytest
import torch

from common.metrics.depth import depth_scores, resize_nearest
from common.metrics.protocols import PROTOCOLS, find_protocol, score_image


@pytest.fixture(scope="module")
def gefu_lpips(stand_in_lpips, deterministic):
    def linear(i, c):
        return np.abs(deterministic.array(f"open/lpips.lin{i}", (1, c, 1, 1), c**-0.5))

    return stand_in_lpips("open/vgg16.", linear)


def gefu_case(array, level):
    height, width = (24, 32) if level == 0 else (96, 128)
    coarse = torch.from_numpy(array(f"open/gefu/metrics/gt{level}", (1, 3, height // 8, width // 8)))
    upsampled = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    truth = upsampled.sigmoid()[0].permute(1, 2, 0).numpy()
    prediction = truth + array(f"open/gefu/metrics/noise{level}", (height, width, 3), 0.05)
    mask = array(f"open/gefu/metrics/mask{level}", (height, width)) > -0.8
    return prediction, truth, mask


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(("center", "name"), [(0, "gefu"), (1, "gefu_center")])
def test_gefu_scores_equal_the_release(golden, deterministic, gefu_lpips, level, center, name):
    expected = golden("gefu/metrics")
    prediction, truth, mask = gefu_case(deterministic.array, level)
    before = prediction.copy(), truth.copy()
    scores = score_image(prediction, truth, PROTOCOLS[name], mask=mask, lpips=gefu_lpips)
    for metric in ("psnr", "ssim", "lpips"):
        assert getattr(scores, metric) == pytest.approx(
            expected[f"center{center}/{metric}_{level}"], abs=1e-4, rel=1e-4
        )
    np.testing.assert_array_equal(prediction, before[0])
    np.testing.assert_array_equal(truth, before[1])


def test_gefu_depth_errors_equal_the_release(golden, deterministic):
    expected, array = golden("gefu/metrics"), deterministic.array
    truth = 600 + array("open/gefu/metrics/depth", (1, 96, 128), 40)[0]
    truth[:, :7] = 0
    depth = truth + array("open/gefu/metrics/depth_err", (1, 96, 128), 6)[0]
    coarse = 600 + array("open/gefu/metrics/mvs", (1, 48, 64), 40)[0]
    for prefix, scores in (
        ("", depth_scores(depth, truth)),
        ("mvs_", depth_scores(coarse, resize_nearest(truth, 48, 64))),
    ):
        assert scores.absolute == pytest.approx(expected[f"center0/{prefix}abs"], rel=1e-4)
        assert scores.accuracy[2] == pytest.approx(expected[f"center0/{prefix}acc_2"], abs=1e-4)
        assert scores.accuracy[10] == pytest.approx(expected[f"center0/{prefix}acc_10"], abs=1e-4)


def test_idnerf_scores_equal_the_release(golden, stand_in_lpips, deterministic):
    def linear(i, c):
        return np.abs(deterministic.array(f"open/vgg/lin{i}", (1, c, 1, 1))) / c

    stored, lpips = golden("idnerf/metrics"), stand_in_lpips("open/vgg/", linear)
    prediction, truth, mask = stored["in_pred"], stored["in_gt"], ~stored["in_mask"]
    masked = score_image(prediction, truth, PROTOCOLS["idnerf"], mask=mask, lpips=lpips)
    cropped = score_image(prediction, truth, PROTOCOLS["idnerf_center"], lpips=lpips)
    full = score_image(prediction, truth, PROTOCOLS["idnerf_full"], mask=mask, lpips=lpips)
    for scores, name in ((masked, "masked_{}"), (cropped, "cropped_{}"), (full, "masked_{}_Full")):
        assert scores.psnr == pytest.approx(stored["out_" + name.format("PSNR")], abs=1e-4)
        assert scores.ssim == pytest.approx(stored["out_" + name.format("SSIM")], abs=1e-5)
        assert scores.lpips == pytest.approx(stored["out_" + name.format("LPIPS")], abs=1e-6)


def test_neuray_scores_equal_the_release(golden):
    stored = golden("neuray_mrvm/metrics")
    truth, prediction = stored["gt"], stored["pr"]
    rendering = score_image(prediction, truth, PROTOCOLS["neuray_mrvm"])
    assert rendering.psnr == pytest.approx(stored["psnr_float"], abs=1e-4)
    assert rendering.ssim == pytest.approx(stored["ssim_float"], abs=1e-4)
    for predicted, suffix in ((prediction, "nr"), (1.2 * truth - 0.1, "nr_fine")):
        validation = score_image(predicted.astype(np.float32), truth, PROTOCOLS["neuray_mrvm_validation"])
        assert validation.psnr == pytest.approx(stored[f"psnr_{suffix}"][0], abs=1e-4)
        assert validation.ssim == pytest.approx(stored[f"ssim_{suffix}"][0], abs=1e-4)


def test_gens_divides_the_photograph_by_256():
    truth = np.full((8, 8, 3), 1.0, np.float32)
    scores = score_image(np.full((8, 8, 3), 255 / 256, np.float32), truth, PROTOCOLS["gens"])
    assert scores.psnr > 100
    assert scores.ssim is None
    assert scores.lpips is None


def test_xscale_sees_white_outside_the_mask_and_eight_bits():
    truth = np.full((16, 16, 3), 100 / 255, np.float32)
    prediction = np.full((16, 16, 3), 100.9 / 256, np.float32)
    mask = np.zeros((16, 16), bool)
    mask[4:12] = True
    prediction[~mask] = 0.1
    scores = score_image(prediction, truth, PROTOCOLS["xscale_nvs"], mask=mask)
    assert scores.psnr > 100  # floor(256 * 100.9 / 256) = 100, and both are white outside


def test_the_same_pictures_get_other_numbers_by_other_names(deterministic):
    prediction, truth, mask = gefu_case(deterministic.array, 1)
    values = {name: score_image(prediction, truth, entry, mask=mask).psnr for name, entry in PROTOCOLS.items()}
    assert values["gefu"] != values["idnerf_full"] != values["neuray_mrvm"]
    assert values["gefu"] != values["gefu_center"]


def test_every_result_says_how_it_was_measured():
    picture = np.full((16, 16, 3), 0.5, np.float32)
    scores = score_image(picture, picture + 0.1, find_protocol("gefu", border=0.1))
    assert scores.protocol.border == 0.1
    text = scores.protocol.describe()
    assert "data range 2" in text
    assert "10% of each side cut" in text
    assert len({entry.describe() for entry in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_unknown_names_and_other_sizes_are_refused(gefu_lpips):
    picture = np.zeros((16, 16, 3), np.float32)
    with pytest.raises(ValueError, match="choose one of standard, gefu"):
        find_protocol("gefo")
    with pytest.raises(ValueError, match=r"prediction is \(8, 16, 3\)"):
        score_image(picture[:8], picture, PROTOCOLS["standard"])
    gefu_lpips.backbone = "alex"
    try:
        with pytest.raises(ValueError, match="needs LPIPS with vgg"):
            score_image(picture, picture, PROTOCOLS["standard"], lpips=gefu_lpips)
    finally:
        gefu_lpips.backbone = "vgg"


def test_pictures_too_small_for_lpips_have_none(gefu_lpips):
    picture = np.zeros((15, 20, 3), np.float32)
    assert score_image(picture, picture, PROTOCOLS["gefu"], lpips=gefu_lpips).lpips is None
    assert score_image(picture.repeat(2, 0), picture.repeat(2, 0), PROTOCOLS["gefu"], lpips=gefu_lpips).lpips == 0


def test_nearest_resizing_keeps_every_second_pixel():
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(resize_nearest(values, 2, 3), values[::2, ::2])


def test_depth_errors_by_hand():
    truth = np.array([[0.0, 10.0, 20.0]], np.float32)
    scores = depth_scores(np.array([[99.0, 11.0, 25.0]], np.float32), truth, thresholds=(2.0, 10.0))
    assert scores.absolute == 3
    assert scores.relative == pytest.approx((0.1 + 0.25) / 2)
    assert scores.accuracy == {2.0: 0.5, 10.0: 1.0}
    assert scores.pixels == 2
    assert depth_scores(truth, np.zeros_like(truth)) is None
