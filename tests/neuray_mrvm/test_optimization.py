import pytest
import torch

from neuray_mrvm.optimization import PersistentAdam, build_optimizer, learning_rate

RATES = [1e-2, 1e-2, 5e-3, 5e-3, 2e-3, 2e-3, 1e-3, 1e-3]


def used_in(step: int, index: int) -> bool:
    """Two of five parameters a step, and one that is never used."""
    return index < 5 and (step * 2 + index) % 5 < 2


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(1, 3, 11, 17, generator=generator)) for _ in range(6)]


def gradient(step: int, parameter: torch.Tensor) -> torch.Tensor:
    return torch.sin(parameter.detach() * 7 + step) * 1e-3


def run_dense(steps: int) -> list[torch.Tensor]:
    """PyTorch's Adam with gradients that are filled with zeros once they exist."""
    own = parameters()
    optimizer = torch.optim.Adam(own, lr=1.0)
    for step in range(steps):
        for index, parameter in enumerate(own):
            if used_in(step, index):
                parameter.grad = gradient(step, parameter)
            elif parameter.grad is not None:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.param_groups[0]["lr"] = RATES[step]
        optimizer.step()
    return [parameter.detach() for parameter in own]


def take_steps(own, optimizer, steps) -> None:
    for step in steps:
        optimizer.zero_grad(set_to_none=True)
        used = [parameter for index, parameter in enumerate(own) if used_in(step, index)]
        optimizer.catch_up(used)
        for parameter in used:
            parameter.grad = gradient(step, parameter)
        optimizer.param_groups[0]["lr"] = RATES[step]
        optimizer.step()


@pytest.mark.parametrize("deferred", [slice(0, 0), slice(0, 6), slice(1, 3)])
def test_parameters_without_gradient_keep_moving_as_with_zeros(deferred):
    own = parameters()
    optimizer = PersistentAdam(own, deferred=own[deferred])
    take_steps(own, optimizer, range(8))
    optimizer.catch_up()
    for value, expected in zip(own, run_dense(8), strict=True):
        assert torch.equal(value, expected)


def test_continuing_from_a_state_changes_no_bit():
    first = parameters()
    optimizer = PersistentAdam(first, deferred=first)
    take_steps(first, optimizer, range(3))
    state = optimizer.state_dict()  # brings the parameters up to date
    second = [torch.nn.Parameter(parameter.detach().clone()) for parameter in first]
    continued = PersistentAdam(second, deferred=second)
    continued.load_state_dict(state)
    take_steps(second, continued, range(3, 8))
    continued.catch_up()
    for value, expected in zip(second, run_dense(8), strict=True):
        assert torch.equal(value, expected)


def test_using_a_parameter_that_is_behind_is_refused():
    own = parameters()
    optimizer = PersistentAdam(own, deferred=own)
    take_steps(own, optimizer, range(3))
    behind = next(p for p in own if optimizer._outstanding[p])
    behind.grad = torch.zeros_like(behind)
    with pytest.raises(RuntimeError, match="used before catch_up"):
        optimizer.step()


def test_the_learning_rates_are_the_reference_s(golden):
    stored = golden("neuray_mrvm/schedule")
    cases = {
        "gen": ("exp_decay", {"lr_init": 4e-4, "decay_step": 100000, "decay_rate": 0.5}),
        "ft": ("exp_decay", {"lr_init": 1e-4, "decay_step": 100000, "decay_rate": 0.5}),
        "warm": (
            "warm_up_exp_decay",
            {"lr_warm": 1e-5, "warm_step": 1000, "lr_init": 4e-4, "decay_step": 50000, "decay_rate": 0.3},
        ),
    }
    for name, (kind, rates) in cases.items():
        found = [learning_rate({"lr_type": kind, "lr_cfg": rates}, int(step)) for step in stored["steps"]]
        assert found == pytest.approx(stored[name].tolist(), rel=1e-6), name


def test_a_schedule_that_cannot_be_is_one_sentence():
    rates = {"lr_init": 4e-4, "decay_step": 100000, "decay_rate": 0.5}
    with pytest.raises(ValueError, match="to the optimiser twice"):
        learning_rate({"lr_type": "exp_decay_ray_feats", "lr_cfg": rates}, 0)
    with pytest.raises(ValueError, match="there is no lr_warm, warm_step"):
        learning_rate({"lr_type": "warm_up_exp_decay", "lr_cfg": rates}, 0)
    with pytest.raises(ValueError, match="lr_type must be exp_decay"):
        learning_rate({"lr_type": "cosine", "lr_cfg": rates}, 0)


def test_the_optimiser_counts_parameters_as_the_release_did(manifest):
    from neuray_mrvm.networks.build import build_generalization

    network = build_generalization({"init_net_type": "depth"} | {"use_hierarchical_sampling": True})
    cfg = {"optimizer_type": "adam", "lr_type": "exp_decay"}
    cfg["lr_cfg"] = {"lr_init": 4e-4, "decay_step": 100000, "decay_rate": 0.5}
    names = {parameter: name for name, parameter in network.named_parameters()}
    (group,) = build_optimizer(cfg, network).param_groups
    buffers = {name for name, _ in network.named_buffers()}
    assert [names[parameter] for parameter in group["params"]] == [
        name for name in manifest["gen_depth"] if name not in buffers
    ]
