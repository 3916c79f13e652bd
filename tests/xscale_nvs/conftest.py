"""Fixtures of the XScale-NVS tests: the weights of the stored results."""

import numpy as np
import pytest
import torch

# What the stored results' weights are multiplied with, by the end of their name.
GAINS = {
    "mapping_network.network.2.weight": 0.3,
    "mapping_network_dir.network.2.weight": 0.3,
    ".network.0.layer.weight": 0.05,
    ".network.1.layer.weight": 0.05,
    "network_dir.0.layer.weight": 0.3,
    "network_dir.1.layer.weight": 0.05,
}


@pytest.fixture(scope="session")
def golden_state(deterministic):
    """`golden_state(module, prefix)`: the state dict of the stored results, shaped like the module's own."""

    def build(module: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
        return {
            name: torch.from_numpy(value(prefix + name, tensor.shape)) for name, tensor in module.state_dict().items()
        }

    def value(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name.endswith("spatial_enc.params"):
            return deterministic.array(name, shape, 0.5)
        array = deterministic.weight(name, shape)
        gain = next((gain for end, gain in GAINS.items() if name.endswith(end)), None)
        return array if gain is None else array * np.float32(gain)

    return build
