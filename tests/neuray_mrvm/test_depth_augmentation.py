import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuray_mrvm.config import dataset_settings
from neuray_mrvm.depth_augmentation import object_ranges, widened_ranges, with_noisy_depth
from neuray_mrvm.view_batch import ViewBatch

NOTHING = {
    name: 0.0
    for name in (
        "aug_gso_shrink_range_prob",
        "aug_depth_range_prob",
        "aug_depth_offset_prob",
        "aug_depth_small_offset_prob",
        "aug_global_noise_prob",
    )
}


@pytest.fixture
def views():
    """Two views of a disc at depth 2 to 2.5 in a range from 1 to 4."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    mask = ((x - 25) ** 2 + (y - 20) ** 2 < 15**2).float()
    depth = (2 + x / 100) * mask
    camera = torch.eye(4)[None, :3].repeat(2, 1, 1)
    pictures = {"masks": mask.repeat(2, 1, 1, 1), "depth": depth.repeat(2, 1, 1, 1)}
    return ViewBatch(camera, camera[:, :, :3], torch.tensor([[1.0, 4.0]] * 2), (40, 50), **pictures)


def settings(**given):
    return dataset_settings({**NOTHING, **given})


def test_shrunk_ranges_hold_the_object(views):
    shrunk = []
    for seed in range(50):
        generator = np.random.default_rng(seed)
        cfg = settings(aug_gso_shrink_range_prob=1.0)
        near, far = object_ranges(views.depth_range, views.depth, views.masks, cfg, generator)[0].tolist()
        assert 1 * 0.9 <= near <= 2 / 0.9 and 2.4 <= far <= 4 * 1.1
        assert near < float(views.depth[views.masks > 0].min()) and far > float(views.depth.max())
        shrunk.append(far < 4)
    assert 25 < sum(shrunk) < 50


def test_ranges_without_shrinking_are_widened_in_four_of_five_cases(views):
    ranges = torch.stack(
        [
            object_ranges(views.depth_range, views.depth, views.masks, settings(), np.random.default_rng(seed))
            for seed in range(200)
        ]
    )
    near, far = ranges[:, 0].unbind(dim=1)
    changed = near < 1
    assert torch.equal(changed, far > 4)
    assert 140 < int(changed.sum()) < 180
    assert ((near[changed] >= 0.9) & (near[changed] <= 0.975) & (far[changed] >= 4.1) & (far[changed] <= 4.4)).all()


def test_ranges_of_other_scenes_are_rarely_widened(views):
    cfg = dataset_settings({})
    found = torch.stack([widened_ranges(views.depth_range, cfg, np.random.default_rng(seed))[0] for seed in range(400)])
    changed = found[:, 0] < 1
    assert 5 < int(changed.sum()) < 40
    assert (found[:, 0] >= 0.95).all() and (found[:, 1] <= 4.2 + 1e-6).all()


def test_without_noise_depth_is_true_depth(views):
    noisy = with_noisy_depth(views, settings(), np.random.default_rng(0))
    assert_close(noisy.depth, views.depth)
    assert_close(noisy.true_depth, views.depth)


def test_an_offset_patch_moves_a_part_of_the_object_by_half_the_range_or_more(views):
    noisy = with_noisy_depth(views, settings(aug_depth_offset_prob=1.0), np.random.default_rng(1))
    moved = (noisy.depth - noisy.true_depth).abs() / 3
    patch = moved > 0
    assert ((views.masks > 0) | ~patch).all()
    assert (moved[patch] > 0.5 - 0.1 - 1e-5).all() and (moved[patch] < 1.1 + 1e-5).all()
    for view in patch[:, 0]:
        rows, columns = view.nonzero(as_tuple=True)
        assert int(rows.max() - rows.min()) <= 2 * 0.1 * 28 + 1
        assert int(columns.max() - columns.min()) <= 2 * 0.1 * 28 + 1


def test_a_small_patch_and_global_noise_stay_small(views):
    cfg = settings(aug_depth_small_offset_prob=1.0)
    moved = with_noisy_depth(views, cfg, np.random.default_rng(2)).depth - views.depth
    size = moved.abs()[moved != 0] / 3
    assert (size >= 0.01 - 0.005 - 1e-5).all() and (size <= 0.055 + 1e-5).all()
    everywhere = with_noisy_depth(views, settings(aug_global_noise_prob=1.0), np.random.default_rng(3))
    noise = (everywhere.depth - views.depth) / 3
    assert noise.abs().max() <= 0.005 + 1e-6 and (noise != 0).float().mean() > 0.99
