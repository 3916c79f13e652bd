import numpy as np
import pytest
import torch

from common.metrics.lpips import Lpips, find_linear_weights, load_lpips, read_linear_weights
from common.models.alexnet import AlexNet
from common.models.vgg16 import Vgg16


@pytest.mark.parametrize("backbone", ["vgg", "alex"])
def test_published_files_give_a_symmetric_distance_that_is_zero_for_equal_pictures(tmp_path, monkeypatch, backbone):
    torch.manual_seed(0)
    network = Vgg16(num_groups=5) if backbone == "vgg" else AlexNet()
    torch.save({**network.state_dict(), "classifier.0.bias": torch.zeros(3)}, tmp_path / "stored.pth")
    monkeypatch.setenv("POLYVIEW_VGG16" if backbone == "vgg" else "POLYVIEW_ALEXNET", str(tmp_path / "stored.pth"))
    lpips = load_lpips(backbone)
    generator = np.random.default_rng(0)
    size = (lpips.smallest_side, lpips.smallest_side + 5, 3)
    a, b = (generator.random(size).astype(np.float32) for _ in range(2))
    assert lpips.distance(a, a) == 0
    assert lpips.distance(a, b) == pytest.approx(lpips.distance(b, a))
    assert lpips.distance(a, b) > lpips.distance(a, 0.9 * a + 0.1 * b) > 0


def test_one_layer_by_hand():
    class Identity(torch.nn.Module):
        def forward(self, images):
            return [images]

    lpips = Lpips("alex", Identity(), [torch.tensor([1.0, 2.0, 4.0])])
    red = torch.tensor([0.458 - 0.030, -0.088, -0.188])[None, :, None, None]  # normalises to (1, 0, 0)
    blue = torch.tensor([-0.030, -0.088, 3 * 0.450 - 0.188])[None, :, None, None]  # (0, 0, 3), unit (0, 0, 1)
    assert lpips(red, blue).item() == pytest.approx(1 + 4, rel=1e-4)


def test_the_linear_weights_of_the_installed_package_are_found():
    for backbone, channels in (("vgg", [64, 128, 256, 512, 512]), ("alex", [64, 192, 384, 256, 256])):
        weights = read_linear_weights(find_linear_weights(backbone))
        assert [len(w) for w in weights] == channels
        assert all((w >= 0).all() for w in weights)


def test_missing_weights_are_explained(tmp_path, monkeypatch):
    monkeypatch.delenv("POLYVIEW_VGG16", raising=False)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"download https://download.pytorch.org/models/vgg16-397923af.pth to .*checkpoints"
    ):
        load_lpips("vgg")


def test_a_wrong_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYVIEW_ALEXNET", str(tmp_path / "stored.pth"))
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "stored.pth")
    with pytest.raises(RuntimeError, match=r"stored.pth"):
        load_lpips("alex")


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="choose one of vgg, alex"):
        load_lpips.__wrapped__("squeeze")
