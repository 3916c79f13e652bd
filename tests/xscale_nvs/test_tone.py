import numpy as np
import torch

from xscale_nvs.tone import linear_to_srgb, to_8_bit, tone


def test_the_curve_and_the_stretch_equal_the_papers(golden):
    stored = golden("xscale_nvs/tone")
    linear = torch.from_numpy(stored["linear"])
    np.testing.assert_allclose(linear_to_srgb(linear).numpy(), stored["srgb"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(tone(linear).numpy(), stored["final"], rtol=0, atol=1e-6)


def test_the_curve_has_a_finite_gradient_at_black():
    linear = torch.zeros(3, requires_grad=True)
    tone(linear).sum().backward()
    assert torch.isfinite(linear.grad).all()


def test_bytes_are_truncated_256ths():
    assert to_8_bit(torch.tensor([0.0, 0.5, 0.999 / 256, 1.0, 1.001, -0.001])).tolist() == [0, 128, 0, 255, 255, 0]
