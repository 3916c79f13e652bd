import random

import numpy as np
import torch

from common.checkpoints import load_checkpoint, save_checkpoint
from common.seeding import generator_for, random_states, restore_random_states, seed_everything


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_the_same_seed_gives_the_same_numbers_everywhere():
    assert seed_everything(5) == 5
    first = draws()
    seed_everything(5)
    assert draws() == first


def test_without_a_seed_a_fresh_one_is_drawn_and_returned():
    seed = seed_everything()
    first = draws()
    assert seed_everything() != seed
    seed_everything(seed)
    assert draws() == first


def test_states_survive_a_checkpoint(tmp_path):
    seed_everything(1)
    draws()
    save_checkpoint(tmp_path / "a.pth", {"random": random_states()})
    wanted = draws()
    draws()
    restore_random_states(load_checkpoint(tmp_path / "a.pth")["random"])
    assert draws() == wanted


def test_generators_depend_on_their_key_alone():
    assert generator_for(1, 2).random() == generator_for(1, 2).random()
    assert len({generator_for(*key).random() for key in [(1, 2), (2, 1), (1,), (1, 2, 3), (0, 1, 2)]}) == 5
