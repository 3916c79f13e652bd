"""The weights that come with the repository load, are finite, and are trained ones."""

from functools import partial

import pytest
import torch

import gefu
import gens
import idnerf
import neuray_mrvm

LARGEST = 14e6  # bytes, of a method's files together
FILES = {
    "gefu": [gefu.SHIPPED_WEIGHTS],
    "gens": [gens.SHIPPED_WEIGHTS],
    "neuray_mrvm": [neuray_mrvm.SHIPPED_WEIGHTS],
    "idnerf": list(idnerf.SHIPPED_WEIGHTS.values()),
}
LOAD = {
    "gefu": (gefu.load, partial(gefu.load, "random")),
    "gens": (gens.load, partial(gens.load, "random", gens.SHIPPED_CONFIG)),
    "neuray_mrvm": (neuray_mrvm.load, partial(neuray_mrvm.load, "random", neuray_mrvm.SHIPPED_CONFIG)),
    **{
        f"idnerf, {number} views": tuple(
            partial(idnerf.load, weights, idnerf.SHIPPED_CONFIG, (f"--n_src_views={number}",))
            for weights in (None, "random")
        )
        for number in (2, 3)
    },
}


@pytest.mark.parametrize("method", FILES)
def test_a_methods_files_are_small(method):
    assert 1e6 < sum(path.stat().st_size for path in FILES[method]) <= LARGEST


@pytest.mark.parametrize("method", LOAD)
def test_weights_load_and_are_not_the_ones_that_training_begins_with(method):
    shipped, random = (load().state_dict() for load in LOAD[method])
    assert list(shipped) == list(random)
    assert all(torch.isfinite(value).all() for value in shipped.values())
    moved = [name for name in shipped if not torch.equal(shipped[name], random[name])]
    assert len(moved) > 0.5 * len(shipped)


def test_two_and_three_views_share_an_encoder():
    two, three = (idnerf.load(overrides=(f"--n_src_views={number}",)).feat_enc for number in (2, 3))
    for name, value in two.state_dict().items():
        assert torch.equal(value, three.state_dict()[name]), name
