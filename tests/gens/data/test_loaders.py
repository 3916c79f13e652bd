from gens.data.loaders import cycle_order


def test_fine_tuning_takes_every_view_once_a_cycle():
    orders = [cycle_order(0, cycle, 4) for cycle in range(8)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(set(map(tuple, orders))) > 1
