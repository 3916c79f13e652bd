import pytest
import torch

from common.block_gradient import BlockGradient
from common.ops.hash_grid import HashGrid, HashGridLayout, hash_encode
from common.sparse_adam import SparseAdam

LAYOUT = HashGridLayout(4, 8, 9, 4, 1.6)
FAR = torch.full((1, 3), 0.99)


@pytest.fixture
def grid():
    torch.manual_seed(0)
    return HashGrid(LAYOUT)


def twin(grid):
    copy = HashGrid(grid.layout)
    copy.load_state_dict(grid.state_dict())
    return copy


def batches(steps, seed=1):
    """Points of every step: one to three small cubes anywhere, so that most entries wait for long."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        corners = torch.rand(1 + step % 3, 1, 3, generator=generator) * 0.9
        yield list(corners + 0.05 * torch.rand(len(corners), 8, 3, generator=generator))


def train(grid, optimizer, steps):
    """Gradients that do not depend on the parameters: differences of two optimisers do not feed back."""
    outputs = []
    for step, calls in enumerate(steps):
        optimizer.zero_grad()
        features = torch.cat([grid(x) for x in calls])
        weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(step))
        (features * weights).sum().backward()
        optimizer.step()
        outputs.append(features.detach())
    return torch.cat(outputs)


def test_sparse_steps_give_what_dense_adam_gives(grid):
    dense = twin(grid)
    want = train(dense, torch.optim.Adam([dense.params], lr=1e-2), batches(80))
    optimizer = SparseAdam(grid.params, lr=1e-2)
    got = train(grid, optimizer, batches(80))
    torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
    stale = (grid.params - dense.params).abs().max().item()
    optimizer.catch_up()
    assert (grid.params - dense.params).abs().max().item() < 1e-6 < 1e-2 < stale
    assert (optimizer.state_dict()["touched_at"] == 0).any()  # some entries were never read


def test_an_entry_read_once_ends_where_its_momentum_carries_it(grid):
    dense, steps = twin(grid), [[torch.full((1, 3), 0.1)], *([[FAR]] * 220)]
    train(dense, torch.optim.Adam([dense.params], lr=1e-2), steps)
    optimizer = SparseAdam(grid.params, lr=1e-2)
    train(grid, optimizer, steps)
    assert (grid.params - dense.params).abs().max() > 1e-2
    optimizer.catch_up()
    torch.testing.assert_close(grid.params, dense.params, rtol=0, atol=1e-6)


def test_the_step_size_may_change_between_steps(grid):
    dense = twin(grid)
    adam, optimizer = torch.optim.Adam([dense.params], lr=1e-2), SparseAdam(grid.params, lr=1e-2)
    for lr in (1e-2, 1e-3, 5e-2):
        adam.param_groups[0]["lr"] = optimizer.lr = lr
        train(dense, adam, batches(10))
        train(grid, optimizer, batches(10))
    optimizer.catch_up()
    torch.testing.assert_close(grid.params, dense.params, rtol=0, atol=1e-6)


def test_a_step_consumes_the_gradient_and_leaves_pytorchs_own_empty(grid):
    optimizer = SparseAdam(grid.params)
    grid(FAR).sum().backward()
    gradient = BlockGradient.of(grid.params)
    assert grid.params.grad is None
    assert gradient.values.sum() == pytest.approx(LAYOUT.num_features)
    optimizer.step()
    assert not gradient.values.any() and not gradient.is_touched.any()


def test_zero_grad_forgets_what_was_added(grid):
    optimizer = SparseAdam(grid.params, lr=1.0)
    before = grid.params.detach().clone()
    grid(FAR).sum().backward()
    optimizer.zero_grad()
    optimizer.step()
    optimizer.catch_up()
    assert torch.equal(grid.params, before)


def test_gradients_may_be_zeroed_between_forward_and_backward(grid):
    optimizer = SparseAdam(grid.params)
    features = grid(FAR)
    optimizer.zero_grad()
    features.sum().backward()
    assert BlockGradient.of(grid.params).values.any()


def test_looking_at_all_or_some_of_the_table_changes_no_bit_of_the_training(grid):
    other = twin(grid)
    plain, watched = SparseAdam(grid.params, lr=1e-2), SparseAdam(other.params, lr=1e-2)
    for steps in ([[FAR], *batches(5, seed)] for seed in range(10)):
        train(grid, plain, steps)
        train(other, watched, steps)
        watched.catch_up()
        train(grid, plain, steps[:2])
        train(other, watched, steps[:2])
        with torch.no_grad():
            other(torch.rand(20, 3))
    plain.catch_up(), watched.catch_up()
    assert torch.equal(grid.params, other.params)
    assert torch.equal(plain.state_dict()["exp_avg_sq"], watched.state_dict()["exp_avg_sq"])


@pytest.mark.parametrize("pause", [7, 30])
def test_a_run_continues_exactly_from_its_saved_state(grid, tmp_path, pause):
    steps, whole = list(batches(60)), twin(grid)
    uninterrupted = SparseAdam(whole.params, lr=1e-2)
    want = [train(whole, uninterrupted, steps[:pause]), train(whole, uninterrupted, steps[pause:])]
    optimizer = SparseAdam(grid.params, lr=1e-2)
    got = [train(grid, optimizer, steps[:pause])]
    torch.save({"optimizer": optimizer.state_dict(), "grid": grid.state_dict()}, tmp_path / "state.pth")
    saved = torch.load(tmp_path / "state.pth", weights_only=True)
    resumed = HashGrid(LAYOUT)
    resumed.load_state_dict(saved["grid"])
    optimizer = SparseAdam(resumed.params)
    optimizer.load_state_dict(saved["optimizer"])
    got.append(train(resumed, optimizer, steps[pause:]))
    assert all(map(torch.equal, got, want))
    uninterrupted.catch_up(), optimizer.catch_up()
    assert torch.equal(resumed.params, whole.params)


def test_dense_gradients_of_the_reference_are_accepted(grid):
    dense = twin(grid)
    want = train(dense, torch.optim.Adam([dense.params], lr=1e-2), batches(20))
    optimizer = SparseAdam(grid.params, lr=1e-2)
    first = train(grid, optimizer, list(batches(20))[:7])
    torch.testing.assert_close(first, want[: len(first)], rtol=0, atol=1e-6)
    grid.backend = "torch"
    x = torch.rand(40, 3)
    torch.testing.assert_close(grid(x), hash_encode(x, grid.params.detach(), LAYOUT, backend="torch"))
    grid(x).sum().backward()
    assert grid.params.grad is not None
    optimizer.step()
    assert grid.params.grad is None


def test_dense_steps_go_on_where_sparse_ones_stopped_and_the_other_way_round(grid):
    steps, adam = list(batches(30)), twin(grid)
    torch_adam, current = torch.optim.Adam([adam.params], lr=1e-2), SparseAdam(grid.params, lr=1e-2)
    for part, sparse in enumerate([True, False, True]):
        after = twin(grid)
        following = SparseAdam(after.params, sparse=sparse)
        following.load_state_dict(current.state_dict())
        after.load_state_dict(grid.state_dict())
        grid, current = after, following
        train(adam, torch_adam, steps[10 * part : 10 * part + 10])
        train(grid, current, steps[10 * part : 10 * part + 10])
    current.catch_up()
    torch.testing.assert_close(grid.params, adam.params, rtol=0, atol=1e-6)


def test_steps_on_any_device_give_what_dense_adam_gives(grid, device):
    grid = grid.to(device)
    dense = HashGrid(LAYOUT, backend="torch").to(device)
    dense.load_state_dict(grid.state_dict())
    optimizers = SparseAdam(grid.params, lr=1e-2), torch.optim.Adam([dense.params], lr=1e-2)
    for x in torch.rand(5, 20, 3, device=device):
        for each, optimizer in zip((grid, dense), optimizers, strict=True):
            optimizer.zero_grad()
            each(x).square().sum().backward()
            optimizer.step()
    optimizers[0].catch_up()
    torch.testing.assert_close(grid.params, dense.params, rtol=0, atol=1e-5)


def test_a_state_of_another_table_is_refused(grid):
    state = SparseAdam(HashGrid(HashGridLayout(1, 8, 9, 4, 1.6)).params).state_dict()
    with pytest.raises(ValueError, match="state is of 512 parameters, the table has"):
        SparseAdam(grid.params).load_state_dict(state)


@pytest.mark.parametrize(
    "parameter",
    [torch.zeros(12), torch.zeros(2, 8), torch.zeros(8, dtype=torch.float64)],
    ids=["length", "rank", "type"],
)
def test_a_parameter_of_another_kind_is_refused(parameter):
    with pytest.raises(ValueError, match=r"use torch\.optim\.Adam"):
        SparseAdam(torch.nn.Parameter(parameter))
