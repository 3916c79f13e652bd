"""Weights and inputs of the reference outputs of NeuRay + MRVM."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neuray_mrvm.view_batch import ViewBatch

PREFIX = "open/"


@pytest.fixture(scope="session")
def neuray_tree(golden_module, tmp_path_factory):
    """A data folder with a small scene in every layout that NeuRay reads; not to be changed."""
    folder = tmp_path_factory.mktemp("neuray_tree")
    golden_module("neuray_mrvm/make_trees.py").main(str(folder), 0)
    return folder


@pytest.fixture(scope="session")
def manifest():
    """Name to shape of the released checkpoints, by variant."""
    path = Path(__file__).parents[1] / "golden" / "neuray_mrvm" / "manifest.json"
    return json.loads(path.read_text(encoding="utf8"))


@pytest.fixture(scope="session")
def recipes(golden_module, deterministic):
    """The generator of the reference's weights and inputs."""
    return golden_module("neuray_mrvm/inputs.py")


@pytest.fixture(scope="session")
def array(deterministic):
    """`array("rs_rf", shape, scale)` is that input as a tensor."""
    return lambda name, shape, scale=1.0: torch.from_numpy(deterministic.array(PREFIX + name, shape, scale))


@pytest.fixture(scope="session")
def uniform(recipes):
    """`uniform("tr_u", shape)` are those numbers in [0, 1) as a tensor."""
    return lambda name, shape: torch.from_numpy(recipes.uniform(PREFIX + name, shape))


@pytest.fixture(scope="session")
def weights(manifest, recipes):
    """`weights("gen_depth", "agg_net.")` are the reference's entries under a prefix, which is removed."""

    def read(variant: str = "gen_depth", root: str = "") -> dict[str, torch.Tensor]:
        everything = recipes.weights(manifest[variant], PREFIX)
        return {
            name.removeprefix(root): torch.as_tensor(np.asarray(value))
            for name, value in everything.items()
            if name.startswith(root)
        }

    return read


@pytest.fixture(scope="session")
def reference(golden):
    """`reference("geometry")` are the arrays of that file as tensors."""
    return lambda name: {key: torch.as_tensor(np.array(value)) for key, value in golden(f"neuray_mrvm/{name}").items()}


@pytest.fixture(scope="session")
def all_views(reference):
    """The five views of the reference's scene."""
    scene = reference("scene")
    return ViewBatch(
        poses=scene["poses"],
        Ks=scene["Ks"],
        depth_range=scene["depth_range"],
        size=tuple(scene["imgs_u8"].shape[-2:]),
        imgs=scene["imgs_u8"].float() / 255,
        masks=scene["masks"].float(),
        depth=scene["depth"],
    )


@pytest.fixture(scope="session")
def query(all_views):
    """The view to render."""
    return all_views.select(torch.tensor([2]))


@pytest.fixture(scope="session")
def references(all_views, reference):
    """The views to render from."""
    scene = reference("scene")
    return replace(all_views.select(scene["refs"].long()), nn_ids=scene["nn_ids"].long())
