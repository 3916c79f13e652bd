import numpy as np
import torch

from neuray_mrvm.ray_positions import central_rectangle, choose_positions


def drawn(foreground, count, ratio, seed=0):
    return choose_positions(foreground, count, ratio, np.random.default_rng(seed))


def test_positions_differ_and_hold_the_share_of_the_foreground():
    foreground = np.zeros((30, 40), bool)
    foreground[5:15, 10:30] = True
    positions = drawn(foreground, 100, 0.5).long()
    assert len(torch.unique(positions, dim=0)) == 100
    inside = foreground[positions[:, 1], positions[:, 0]]
    assert inside[:50].all() and inside[50:].mean() < 0.5


def test_a_small_foreground_gives_all_it_has():
    foreground = np.zeros((30, 40), bool)
    foreground[2, 3:8] = True
    positions = drawn(foreground, 100, 0.5).long()
    assert len(torch.unique(positions, dim=0)) == 100
    assert foreground[positions[:5, 1], positions[:5, 0]].all()
    assert not foreground[positions[5:, 1], positions[5:, 0]].any()


def test_a_small_picture_gives_every_pixel_once():
    positions = drawn(np.ones((4, 5), bool), 512, 0.5)
    assert sorted(map(tuple, positions.int().tolist())) == sorted((x, y) for x in range(5) for y in range(4))


def test_the_middle_is_a_tenth_away_from_the_borders():
    rows, columns = np.nonzero(central_rectangle((40, 60)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 35, 6, 53)
