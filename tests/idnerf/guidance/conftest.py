"""The fixtures' diffusion model, and CLIP as the original package stores it."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.tiny_diffusion import write_model

GOLDEN = Path(__file__).parents[2] / "golden" / "idnerf"


@pytest.fixture(scope="session")
def golden_model(tmp_path_factory, deterministic, scheduler_settings):
    """Folder of the fixtures' diffusion model."""
    manifest = json.loads((GOLDEN / "diffusion_tiny.manifest.json").read_text())

    def fill(part, module):
        weights = deterministic.state_dict(manifest[part], f"open/diffusion/{part}/")
        state = {name: torch.from_numpy(value) for name, value in weights.items()}
        if part == "unet":
            state["conv_out.weight"] *= 3
        missing, unexpected = module.load_state_dict(state, strict=False)
        assert not unexpected and all(name.endswith("position_ids") for name in missing)

    return write_model(tmp_path_factory.mktemp("golden-model") / "model", scheduler_settings, fill=fill)


@pytest.fixture(scope="session")
def clip_archive(tmp_path_factory):
    """`clip_archive(state)`: a TorchScript archive with these entries, in half precision, below `visual.`."""

    def write(state):
        root = nn.Module()
        root.visual = nn.Module()
        for name, value in state.items():
            *parents, leaf = name.split(".")
            module = root.visual
            for parent in parents:
                if parent not in module._modules:
                    module.add_module(parent, nn.Module())
                module = module._modules[parent]
            module.register_parameter(leaf, nn.Parameter(value.half(), requires_grad=False))
        path = tmp_path_factory.mktemp("archive") / "ViT-tiny.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TorchScript, the format of these files
            torch.jit.script(root).save(path)
        return path

    return write
