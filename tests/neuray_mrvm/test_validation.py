import numpy as np
import pytest

from neuray_mrvm.validation import scores


def test_the_scores_are_the_reference_s(golden):
    stored = golden("neuray_mrvm/metrics")
    shown = {"gt": stored["gt"], "nr": stored["pr"], "nr_fine": 1.2 * stored["gt"] - 0.1}
    found = scores(shown)
    assert list(found) == ["psnr_nr", "ssim_nr", "psnr_nr_fine", "ssim_nr_fine"]
    for name, value in found.items():
        assert value == pytest.approx(stored[name].item(), abs=1e-4), name


def test_a_margin_leaves_the_border_out():
    truth = np.full((40, 60, 3), 0.5, np.float32)
    wrong = truth.copy()
    wrong[:4] = 0
    inside = scores({"gt": truth, "nr": wrong}, margin_ratio=0.8)
    assert inside["psnr_nr"] == np.inf
    assert scores({"gt": truth, "nr": wrong})["psnr_nr"] < 20
