import collections

import numpy as np
import pytest
import torch

from gefu.data.loaders import TestBatches as SequentialBatches
from gefu.data.loaders import TrainingBatches


def keys(batches, epoch=0, position=0):
    batches.start(epoch, position)
    return list(batches)


def batches(**changes):
    settings = {"num_items": 7, "batch_size": 2, "counts": [2, 3, 4], "probabilities": [0.1, 0.8, 0.1]}
    return TrainingBatches(**settings | changes)


def test_one_pass_without_a_length_holds_every_item_once():
    found = [key.index for batch in keys(batches()) for key in batch]
    assert sorted(found) == list(range(7))
    assert [len(batch) for batch in keys(batches())] == [2, 2, 2, 1]


def test_the_length_restarts_the_data_as_often_as_needed():
    found = keys(batches(length=10, batch_size=1))
    assert len(found) == 10
    assert sorted(key.index for (key,) in found[:7]) == list(range(7))
    assert [key.index for (key,) in found[:3]] != [key.index for (key,) in found[7:]]


def test_all_items_of_a_batch_share_their_number_of_sources_which_follows_the_probabilities():
    found = keys(batches(length=3000))
    assert all(len({key.num_sources for key in batch}) == 1 for batch in found)
    share = collections.Counter(batch[0].num_sources for batch in found)
    assert share[3] / 3000 == pytest.approx(0.8, abs=0.03)
    assert share[2] / 3000 == pytest.approx(0.1, abs=0.03)


def test_starting_in_the_middle_gives_the_batches_that_were_left():
    whole = keys(batches(length=20), epoch=4)
    assert keys(batches(length=20), epoch=4, position=13) == whole[13:]
    loader = batches(length=20)
    loader.start(4, 13)
    assert len(loader) == 7


def test_epochs_seeds_and_positions_differ_in_everything_random():
    whole = keys(batches(length=20))
    assert keys(batches(length=20), epoch=1) != whole
    assert keys(batches(length=20, seed=1)) != whole
    seeds = [key.seed for batch in whole for key in batch]
    assert len(set(seeds)) == len(seeds)


def test_processes_share_a_pass_in_contiguous_parts_and_draw_their_own_numbers():
    parts = [keys(batches(batch_size=1, process=rank, num_processes=2)) for rank in range(2)]
    assert [len(part) for part in parts] == [4, 4]  # 7 items, padded to 8
    found = [key.index for part in parts for (key,) in part]
    assert set(found) == set(range(7))
    assert found[-1] == found[0]
    long = [keys(batches(length=50, process=rank, num_processes=2)) for rank in range(2)]
    numbers = [[batch[0].num_sources for batch in part] for part in long]
    assert numbers[0] != numbers[1]


def test_without_shuffling_the_order_is_that_of_the_items():
    assert [key.index for batch in keys(batches(shuffle=False)) for key in batch] == list(range(7))


def test_testing_goes_through_the_items_in_order():
    assert [batch[0][:2] for batch in SequentialBatches(3, 4)] == [(0, 4), (1, 4), (2, 4)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_batch_has_the_papers_entries(dtu_tree, training_config, workers):
    from gefu.data.loaders import build_training_loader

    loader = build_training_loader(training_config("train.num_workers", str(workers), "ep_iter", "2"), seed=3)
    loader.batch_sampler.start(0)
    first, second = loader
    assert first["src_inps"].shape[2:] == (3, 64, 64)
    assert first["src_inps"].dtype == torch.float32
    assert first["rays_0"].shape == (1, 16 * 16, 8)
    assert first["rgb_1"].shape == (1, 64 * 64, 3)
    assert first["near_far"].tolist() == [[425.0, 905.0]]
    assert set(first["meta"]) == {"scene", "tar_view", "frame_id", "h_0", "w_0", "h_1", "w_1"}
    assert not {"tar_img", "tar_dpt"} & set(first)
    loader.batch_sampler.start(0, 1)
    (again,) = loader
    assert torch.equal(again["src_inps"], second["src_inps"])


def test_dtu_draws_from_the_nearest_and_the_others_from_the_whole_pool(dtu_tree, training_config):
    from gefu.data.datasets import SampleKey
    from gefu.data.loaders import build_training_loader

    dataset = build_training_loader(training_config(), seed=0).dataset
    _, target, pool = dataset.items[0]
    drawn = {n: [dataset._draw_sources(SampleKey(0, n, (n, i)), target, pool) for i in range(400)] for n in (2, 4)}
    assert {view for views in drawn[2] for view in views} == set(pool[:3])
    assert all(len(set(views)) == len(views) for views in drawn[4])
    share = np.mean([target in views for views in drawn[4]])
    assert share == pytest.approx(
        0.1 * 4 / 5, abs=0.04
    )  # a tenth of the time it is one of five, of which four are drawn


def test_more_sources_than_candidates_are_refused_before_training(dtu_tree, training_config):
    from gefu.data.loaders import build_training_loader

    words = "train.sampler_meta.input_views_num 2,3,5"
    with pytest.raises(ValueError, match="asks for 5 source views, but a target has only 4 candidates"):
        build_training_loader(training_config(*words.split()), seed=0)
