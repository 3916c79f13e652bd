from common.item_order import TrainingOrder, ValidationOrder


def keys(order, epoch, position=0):
    order.start(epoch, position)
    return list(order)


def test_an_epoch_shows_every_item_once_in_an_order_of_its_own():
    order = TrainingOrder(10, seed=3)
    first, second = keys(order, 0), keys(order, 1)
    assert sorted(key.index for key in first) == list(range(10))
    assert [key.index for key in first] != [key.index for key in second]
    assert len({key.seed for key in (*first, *second)}) == 20


def test_a_resumed_epoch_shows_the_rest_of_it():
    order = TrainingOrder(10, seed=3)
    assert keys(order, 2, 4) == keys(order, 2)[4:]
    order.start(2, 4)
    assert len(order) == 6


def test_processes_share_an_epoch_and_the_last_round_is_filled_up():
    parts = [keys(TrainingOrder(5, 0, process, 2), 0) for process in range(2)]
    assert [len(part) for part in parts] == [3, 3]
    assert {key.index for part in parts for key in part} == set(range(5))


def test_validation_shares_the_items_in_order():
    parts = [[key.index for key in ValidationOrder(5, process, 2)] for process in range(2)]
    assert parts == [[0, 2, 4], [1, 3]]
