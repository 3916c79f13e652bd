"""Two processes with averaged gradients against one process that sees both items (statistics stay per item)."""

import pytest
import torch

from gens.config import load_config
from gens.data.datasets import DTUDataset
from gens.data.loaders import seed_step
from gens.losses import GensLoss, LossWeights
from gens.networks.network import build_network
from gens.trainer import train_step
from tests.processes import run_together

WORKER = """
import sys
import torch
from torch.nn.parallel import DistributedDataParallel
from common.distributed import distributed_run, rank
from gens.config import load_config
from gens.data.loaders import seed_step
from gens.losses import GensLoss, LossWeights
from gens.networks.network import build_network
from gens.trainer import train_step

with distributed_run(True, use_gpu=False):
    case = torch.load(sys.argv[1], weights_only=True)
    cfg = load_config("confs/gens.conf", sys.argv[3:])
    network = build_network(cfg.model)
    network.load_state_dict(case["net"])
    network.train()
    seed_step(rank())
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1e-3)
    loss = GensLoss(LossWeights.from_config(cfg.train.loss))
    train_step(DistributedDataParallel(network), loss, optimizer, case["items"][rank()], 1.0, 0.5)
    torch.save([p.grad for p in network.parameters()], f"{sys.argv[2]}/{rank()}.pth")
"""


@pytest.mark.slow
def test_two_processes_take_the_step_of_both_items(tiny_dtu, tiny_words, sphere_checkpoint, tmp_path, one_thread):
    words = tiny_words(tiny_dtu, tmp_path)
    cfg = load_config("confs/gens.conf", words)
    dataset = DTUDataset(cfg.train_dataset, training=True)
    items = [{k: v for k, v in dataset[index].items() if isinstance(v, torch.Tensor)} for index in range(2)]
    state = torch.load(sphere_checkpoint, weights_only=True)["model"]
    torch.save({"net": state, "items": items}, tmp_path / "case.pth")
    run_together(WORKER, str(tmp_path / "case.pth"), str(tmp_path), *words)

    network = build_network(cfg.model)
    loss = GensLoss(LossWeights.from_config(cfg.train.loss))
    alone = []
    for index, item in enumerate(items):
        network.load_state_dict(state)
        network.train()
        seed_step(index)
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.0)
        train_step(network, loss, optimizer, item, 1.0, 0.5)
        alone.append([parameter.grad for parameter in network.parameters()])
    first, second = (torch.load(tmp_path / f"{number}.pth", weights_only=True) for number in range(2))
    for (name, _), one, other, *parts in zip(network.named_parameters(), first, second, *alone, strict=True):
        assert (one is None) == name.startswith("match_feature_network"), name
        if one is not None:
            assert torch.equal(one, other), name
            scale = float(sum(part.abs().max() for part in parts)) / 2
            torch.testing.assert_close(one, sum(parts) / 2, rtol=1e-3, atol=1e-4 * scale + 1e-12, msg=name)
