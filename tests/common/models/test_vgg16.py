import json
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from common.models.vgg16 import ENVIRONMENT, FILE_NAME, Vgg16, find_vgg16, load_vgg16, normalize

SHAPES = json.loads((Path(__file__).parents[2] / "golden" / "gefu" / "manifest.json").read_text())["vgg16_features"]


def test_names_and_shapes_are_torchvisions():
    own = {name: list(value.shape) for name, value in Vgg16(num_groups=5).state_dict().items()}
    assert own == SHAPES


def test_feature_maps_halve_from_group_to_group():
    maps = Vgg16()(torch.zeros(1, 3, 32, 48))
    assert [tuple(each.shape[1:]) for each in maps] == [(64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6)]


def test_parameters_are_frozen_and_gradients_pass():
    network = Vgg16()
    images = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(images)[-1].sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_imagenets_mean_becomes_zero():
    mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None]
    assert torch.equal(normalize(mean), torch.zeros(1, 3, 1, 1))


def test_a_file_with_the_classifier_loads_from_where_the_environment_points(tmp_path, monkeypatch):
    state = {name: torch.rand(shape) for name, shape in SHAPES.items()} | {"classifier.0.weight": torch.zeros(2, 2)}
    torch.save(state, tmp_path / FILE_NAME)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / FILE_NAME))
    network = load_vgg16(num_groups=5)
    assert torch.equal(network.features[28].bias, state["features.28.bias"])


def test_a_wrong_path_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "/nowhere/vgg.pth")
    with pytest.raises(FileNotFoundError, match=r"/nowhere/vgg\.pth.*POLYVIEW_VGG16"):
        find_vgg16()


def test_without_a_network_the_sentence_says_what_to_fetch_and_where_to_put_it(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(FileNotFoundError, match=f"fetch https.*{FILE_NAME} .*{tmp_path}.*{ENVIRONMENT}"):
        find_vgg16()
