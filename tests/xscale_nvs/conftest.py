"""Fixtures of the XScale-NVS tests: the weights and the scene folders of the stored results."""

import logging

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

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


@pytest.fixture
def scene_settings(tmp_path):
    """`scene_settings(arrays, **settings)` writes the scene of a stored result and returns settings that name it."""

    def write(stored: dict[str, np.ndarray], **settings: object) -> list[str]:
        folder = tmp_path / "data" / "scene"
        mesh = trimesh.Trimesh(stored["v"], stored["f"], process=False)
        for name in ("images_4", "cams_4"):
            (folder / name).mkdir(parents=True)
        mesh.export(folder / "mesh.ply", include_attributes=False, vertex_normal=False)
        height, width = map(int, stored["size"])
        images = stored.get("images", np.zeros((len(stored["K"]), height, width, 3), np.uint8))
        for view, (image, intrinsics, world_to_cam) in enumerate(zip(images, stored["K"], stored["E"], strict=True)):
            Image.fromarray(image).save(folder / "images_4" / f"V{view:03d}.JPG", format="png")
            rows = [" ".join(map(repr, row)) for row in [*world_to_cam.tolist(), *intrinsics.tolist()]]
            lines = ["extrinsic", *rows[:4], "", "intrinsic", *rows[4:]]
            (folder / "cams_4" / f"V{view:03d}_cam.txt").write_text("\n".join(lines) + "\n")
        chosen = {
            "root_file": tmp_path / "record",
            "datasetFolder": tmp_path / "data",
            "modelName": "scene",
            "meshName": "mesh.ply",
            "all_view_list": f"0:{len(images)}",
            "test_view_list": stored.get("test", np.array([0, 3])).tolist(),
        }
        return [str(word) for pair in (chosen | settings).items() for word in pair]

    return write


@pytest.fixture(autouse=True)
def quiet_root_logger():
    """Commands configure the root logger for a stream that ends with the test; undone here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
