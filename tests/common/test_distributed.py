import copy

import pytest
import torch
from torch import nn

from common.distributed import (
    SyncBatchNorm,
    barrier,
    broadcast_integer,
    choose_backend,
    distributed_run,
    gather_texts,
    is_main_process,
    rank,
    synchronize_batch_norm,
    world_size,
)
from tests.processes import free_port, run_together

WORKER = """
import sys
import torch
from torch import nn
from common.distributed import (
    broadcast_buffers, broadcast_integer, distributed_run, gather_texts, is_main_process, rank, synchronize_batch_norm
)

with distributed_run(True) as device:
    torch.manual_seed(0)
    layer = synchronize_batch_norm(nn.Sequential(nn.BatchNorm3d(4)), device)
    whole = torch.randn(3, 4, 2, 3, 5) * 3 + 100
    part = whole[:1] if rank() == 0 else whole[1:]  # batches of different size
    part.requires_grad_()
    output = layer(part)
    (output * torch.arange(output.numel()).view_as(output).cos()).sum().backward()
    assert broadcast_integer(7 + rank(), device) == 7
    assert gather_texts("é" * (1 + rank()), device) == ["é", "éé"]
    own = nn.BatchNorm1d(2)
    own.running_mean += rank()
    broadcast_buffers(own)
    assert own.running_mean.tolist() == [0, 0]
    assert is_main_process() == (rank() == 0)
    torch.save([output.detach(), part.grad, layer[0].weight.grad, layer.state_dict()], f"{sys.argv[1]}/{rank()}.pth")
"""


def test_alone_a_process_is_the_main_one():
    assert (rank(), world_size(), is_main_process(), broadcast_integer(5, torch.device("cpu"))) == (0, 1, True, 5)
    assert gather_texts("alone", torch.device("cpu")) == ["alone"]
    barrier()
    with distributed_run(False) as device:
        assert device.type in ("cpu", "cuda")


def test_batch_norm_of_two_processes_is_that_of_the_joint_batch(tmp_path):
    run_together(WORKER, str(tmp_path))
    torch.manual_seed(0)
    layer = nn.BatchNorm3d(4)
    whole = (torch.randn(3, 4, 2, 3, 5) * 3 + 100).requires_grad_()
    output = layer(whole)
    factors = [torch.arange(len(part) * 120).view_as(part).cos() for part in (whole[:1], whole[1:])]
    (output * torch.cat(factors)).sum().backward()

    first, second = (torch.load(tmp_path / f"{number}.pth", weights_only=True) for number in range(2))
    torch.testing.assert_close(torch.cat([first[0], second[0]]), output.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), whole.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(first[2] + second[2], layer.weight.grad, rtol=1e-4, atol=1e-4)
    for name, value in layer.state_dict().items():
        torch.testing.assert_close(first[3][f"0.{name}"], value, rtol=1e-5, atol=1e-5)
        assert torch.equal(first[3][f"0.{name}"], second[3][f"0.{name}"])


def test_processes_that_share_a_gpu_talk_through_gloo(monkeypatch):
    assert choose_backend(torch.device("cpu")) == "gloo"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert choose_backend(torch.device("cuda")) == "nccl"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert choose_backend(torch.device("cuda")) == "gloo"


@pytest.fixture
def group_of_one(monkeypatch):
    values = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with distributed_run(True):
        yield


def test_gradients_of_the_normalisation_are_those_of_finite_differences(group_of_one):
    layer = SyncBatchNorm(2, track_running_stats=False).double()
    inputs = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (inputs,))
    torch.testing.assert_close(layer(inputs), nn.functional.batch_norm(inputs, None, None, training=True))


def test_names_parameters_and_eval_mode_survive_the_conversion(group_of_one):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())).eval()
    images = torch.randn(2, 3, 6, 6)
    wanted, names = network(images), list(network.state_dict())
    parameters = list(network.parameters())
    converted = synchronize_batch_norm(copy.deepcopy(network), torch.device("cpu"))
    assert list(converted.state_dict()) == names
    assert torch.equal(converted(images), wanted)
    assert not converted[1][0].training
    same = synchronize_batch_norm(network, torch.device("cpu"))
    assert all(one is other for one, other in zip(same.parameters(), parameters, strict=True))


def test_a_launcher_and_the_setting_must_agree(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match="start it with torchrun"), distributed_run(True):
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    sentence = "started as 2 processes but the setting distributed is False"
    with pytest.raises(RuntimeError, match=sentence), distributed_run(False):
        pass
