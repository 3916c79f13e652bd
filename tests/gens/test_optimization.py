import numpy as np
import pytest
import torch

from gens.optimization import WarmupCosine, cos_anneal_ratio


def optimizer_of(*rates):
    return torch.optim.Adam([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


@pytest.mark.parametrize(("case", "total", "warmup"), [("train", 50, 1), ("finetune", 5000, 0)])
def test_rates_are_the_reference(golden, case, total, warmup):
    expected = golden("gens/schedule")
    optimizer = optimizer_of(5e-4, 1e-3)
    scheduler = WarmupCosine(optimizer, total, warmup, 0.02)
    rates = [[group["lr"] for group in optimizer.param_groups]]
    for time in expected[f"{case}_t"].tolist():
        optimizer.step()
        scheduler.step_to(time)
        rates.append([group["lr"] for group in optimizer.param_groups])
    np.testing.assert_allclose(rates, expected[f"{case}_lr"], rtol=1e-7)


def test_a_schedule_no_longer_than_its_warmup_ends_at_alpha():
    optimizer = optimizer_of(1.0)
    scheduler = WarmupCosine(optimizer, total=1, warmup=1, alpha=0.02)
    scheduler.step_to(1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02)


def test_annealing_ends_and_stays():
    assert [cos_anneal_ratio(epoch, 2.0) for epoch in (0.0, 1.0, 2.0, 7.0)] == [0.0, 0.5, 1.0, 1.0]
    assert cos_anneal_ratio(0.0, 0.0) == 1.0
