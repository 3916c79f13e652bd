import numpy as np
import pytest

from xscale_nvs.parameters import load_params
from xscale_nvs.schedule import RaySchedule, shuffled

KEYS = (
    "training_batch_size",
    "ultra_cache_batch_size",
    "change_batches_iter",
    "shuffle_batches_iter",
    "save_checkpoint_iter",
    "random_view_batch_size",
)


def make_schedule(num_rays, seed=0, **settings):
    words = [word for key, value in settings.items() for word in (key, str(value))]
    return RaySchedule(load_params(overrides=words), list(range(len(num_rays))), num_rays, seed)


def test_every_epoch_equals_the_papers(golden):
    stored = golden("xscale_nvs/schedule")
    schedule = make_schedule(stored["num_rays"].tolist(), **dict(zip(KEYS, stored["config"].tolist(), strict=True)))
    plans = [schedule.plan(epoch) for epoch in range(len(stored["block"]))]
    assert [plan.block for plan in plans] == stored["block"].tolist()
    assert [plan.is_reshuffled for plan in plans] == stored["reshuffle"].astype(bool).tolist()
    assert [plan.saves for plan in plans] == stored["save_epoch"].astype(bool).tolist()
    assert [list(plan.splits) for plan in plans] == stored["split"].tolist()
    assert {len(schedule.steps(epoch)) for epoch in range(5)} == {int(stored["steps_per_epoch"])}


def test_the_batches_of_an_order_are_different_rows_of_the_block():
    schedule = make_schedule([1000], training_batch_size=250, shuffle_batches_iter=4)
    rows = np.concatenate([schedule.rows(schedule.plan(epoch), 0) for epoch in range(4)])
    assert sorted(rows) == list(range(1000))
    again = schedule.rows(schedule.plan(4), 0)
    assert set(again) != set(rows[:250])


def test_rays_stay_for_batch_shuffle_iter_epochs():
    schedule = make_schedule([1000], training_batch_size=100, batch_shuffle_iter=3, change_batches_iter=1)
    plans = [schedule.plan(epoch) for epoch in range(6)]
    assert [plan.block for plan in plans] == [0, 0, 0, 3, 3, 3]
    np.testing.assert_array_equal(schedule.rows(plans[3], 0), schedule.rows(plans[5], 0))


def test_a_pass_visits_each_view_once_and_two_passes_differ():
    schedule = make_schedule([9] * 70, random_view_batch_size=32)
    steps = schedule.steps(0)
    assert [len(step) for step in steps] == [32, 32, 6]
    assert sorted(np.concatenate(steps)) == list(range(70))
    assert np.concatenate(steps).tolist() != np.concatenate(schedule.steps(1)).tolist()


def test_the_seed_alone_decides():
    first, same, other = (make_schedule([500, 400], seed) for seed in (3, 3, 4))
    plan = first.plan(5)
    np.testing.assert_array_equal(first.rows(plan, 1), same.rows(plan, 1))
    assert first.rows(plan, 1).tolist() != other.rows(plan, 1).tolist()


def test_a_view_with_few_rays_makes_the_common_batch_smaller():
    schedule = make_schedule([1000, 7, 30], training_batch_size=100)
    assert schedule.batch == 7
    assert len(schedule.rows(schedule.plan(11), 1)) == 7


def test_a_view_without_rays_is_left_out():
    schedule = make_schedule([10, 0, 12], training_batch_size=100)
    assert schedule.batch == 10
    assert sorted(np.concatenate(schedule.steps(2))) == [0, 2]
    with pytest.raises(ValueError, match="none of the 2 training views has 4 rays"):
        make_schedule([0, 0])
    with pytest.raises(ValueError, match="training_view_list is empty"):
        make_schedule([])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 65, 1000, 4097])
def test_a_permutation_takes_every_element_somewhere_else(count):
    key = np.array([1, 2, 3, 4], dtype=np.uint64)
    result = shuffled(np.arange(count), count, key)
    assert sorted(result) == list(range(count))
    if count >= 64:
        assert abs(np.corrcoef(result, np.arange(count))[0, 1]) < 0.35
        assert np.mean(result == np.arange(count)) < 0.1
