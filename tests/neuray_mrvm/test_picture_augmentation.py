from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuray_mrvm.geometry import query_rays
from neuray_mrvm.picture_augmentation import cropped, flipped, random_crop
from neuray_mrvm.view_batch import ViewBatch


@pytest.fixture(scope="module")
def views(recipes):
    def build(count):
        arrays = {name: torch.from_numpy(value).float() for name, value in recipes.views(count, 40, 60).items()}
        return ViewBatch(**arrays, size=(40, 60))

    return build


def test_crops_and_flips_are_the_papers(views, reference):
    wanted = reference("imgs_info")
    part = cropped(views(3), (20, 32), (17, 31))
    assert_close(part.imgs[0], wanted["crop_imgs"], atol=1e-6, rtol=0)
    assert_close(part.Ks, wanted["crop_Ks"], atol=1e-4, rtol=0)
    query = cropped(views(4).select(torch.tensor([0])), (20, 32), (17, 31))
    assert_close(query.Ks, wanted["crop_que_Ks"], atol=1e-4, rtol=0)
    mirrored = flipped(part)
    assert_close(mirrored.imgs[0], wanted["flip_imgs"], atol=1e-6, rtol=0)
    assert_close(mirrored.depth[0], wanted["flip_depth"], atol=1e-6, rtol=0)
    assert_close(mirrored.Ks, wanted["flip_Ks"], atol=1e-4, rtol=0)


def test_a_pixel_keeps_its_ray(views):
    """What a crop or a flip moves is the pixel, not the world."""
    before, part = views(2), cropped(views(2), (20, 32), (17, 31))
    mirrored = flipped(part)
    there, here, turned = (torch.tensor([[float(x), float(y)]]) for x, y in ((40, 20), (25, 13), (6, 13)))
    assert_close(part.imgs[0, :, 13, 25], before.imgs[0, :, 20, 40])
    assert_close(mirrored.imgs[0, :, 13, 6], before.imgs[0, :, 20, 40])
    expected = query_rays(before, there).directions
    assert_close(query_rays(part, here).directions, expected)
    assert_close(query_rays(mirrored, turned).directions, expected)


def test_random_crops_are_the_same_for_all_and_stay_inside(views):
    corners = set()
    for seed in range(12):
        first, second = random_crop([views(2), views(3)], (20, 32), np.random.default_rng(seed))
        assert first.imgs.shape == (2, 3, 20, 32) and second.masks.shape == (3, 1, 20, 32)
        assert_close(first.imgs[0], cropped(views(2), (20, 32), _center(views(2), first)).imgs[0])
        shift = views(2).Ks[0, :2, 2] - first.Ks[0, :2, 2]
        assert_close(shift, views(3).Ks[0, :2, 2] - second.Ks[0, :2, 2], atol=1e-4, rtol=0)
        corners.add(tuple(shift.round().int().tolist()))
    assert len(corners) > 8


def test_pictures_that_are_not_larger_than_the_crop_stay(views):
    batches = [views(2), views(1)]
    assert random_crop(batches, (40, 32), np.random.default_rng(0)) == batches


def test_a_crop_fits_the_smallest_picture(views):
    low = replace(views(1), imgs=views(1).imgs[..., :30, :], masks=None, depth=None, size=(30, 60))
    for seed in range(5):
        _, query = random_crop([views(2), low], (20, 32), np.random.default_rng(seed))
        assert query.imgs.shape[-2:] == (20, 32)


def _center(before, after):
    left, top = (before.Ks[0, :2, 2] - after.Ks[0, :2, 2]).round().int().tolist()
    return top + 10, left + 16
