"""LPIPS with the stand-in weights of the golden fixtures."""

import json
from pathlib import Path

import pytest
import torch

from common.metrics.lpips import Lpips
from common.models.vgg16 import Vgg16

CHANNELS = (64, 128, 256, 512, 512)


@pytest.fixture(scope="session")
def stand_in_lpips(deterministic):
    """`stand_in_lpips(prefix, linear)`: VGG with `<prefix>features.N.*` and the vectors `linear(index, channels)`."""
    manifest = Path(__file__).parents[2] / "golden" / "gefu" / "manifest.json"
    shapes = json.loads(manifest.read_text())["vgg16_features"]

    def build(prefix, linear):
        features = Vgg16(num_groups=5)
        features.load_state_dict(
            {name: torch.from_numpy(deterministic.weight(prefix + name, shape)) for name, shape in shapes.items()}
        )
        vectors = [torch.from_numpy(linear(i, c)).flatten() for i, c in enumerate(CHANNELS)]
        return Lpips("vgg", features, vectors)

    return build
