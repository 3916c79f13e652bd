"""Two processes with averaged gradients against one process with both targets in its batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common.checkpoints import load_checkpoint
from gefu.config import load_config
from gefu.losses import GefuLoss
from gefu.networks.network import build_network
from gefu.trainer import train_step
from tests.processes import free_port, run_together

ROOT = Path(__file__).parents[2]
CONFIG = "configs/gefu/dtu_pretrain.yaml"
PLANES = ["gefu.cas_config.volume_planes", "8,8"]

WORKER = """
import sys
import torch
from torch.nn.parallel import DistributedDataParallel
from common.distributed import distributed_run, rank, synchronize_batch_norm
from gefu.config import load_config
from gefu.losses import GefuLoss
from gefu.networks.network import build_network
from gefu.trainer import train_step

with distributed_run(True) as device:
    case = torch.load(sys.argv[1], weights_only=True)
    network = build_network(load_config("configs/gefu/dtu_pretrain.yaml", ["gefu.cas_config.volume_planes", "8,8"]))
    network.load_state_dict(case["net"])
    network = synchronize_batch_norm(network.double().train(), device)
    parallel = DistributedDataParallel(network, find_unused_parameters=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    train_step(parallel, GefuLoss(), optimizer, case["batches"][rank()])
    gradients = [parameter.grad for parameter in network.parameters()]
    torch.save([network.state_dict(), gradients], f"{sys.argv[2]}/{rank()}.pth")
"""


@pytest.fixture
def case(golden_module):
    """Weights and two training batches in double precision."""
    network = build_network(load_config(CONFIG, PLANES))
    batches = []
    for phase in (0.4, 1.7):
        arrays, _ = golden_module("gefu/scene.py").case(64, 64, 3, 650, 80, 0.25, phase, 425, 905, 250)
        batch = {name: torch.from_numpy(value) for name, value in arrays.items()}
        batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
        batches.append(batch | {"meta": {"h_0": [16], "w_0": [16], "h_1": [64], "w_1": [64]}})
    return {"net": network.state_dict(), "batches": batches}


@pytest.mark.slow
def test_two_processes_take_the_step_of_the_joint_batch(case, tmp_path):
    torch.save(case, tmp_path / "case.pth")
    run_together(WORKER, str(tmp_path / "case.pth"), str(tmp_path))

    network = build_network(load_config(CONFIG, PLANES))
    network.load_state_dict(case["net"])
    network.double().train()
    first, second = case["batches"]
    joint = {name: torch.cat([first[name], second[name]]) for name in first if name != "meta"} | {"meta": first["meta"]}
    train_step(network, GefuLoss(), torch.optim.SGD(network.parameters(), lr=0.01), joint)

    results = [torch.load(tmp_path / f"{number}.pth", weights_only=True) for number in range(2)]
    for (name, parameter), one, other in zip(network.named_parameters(), results[0][1], results[1][1], strict=True):
        assert (parameter.grad is None) == ("layer_norm" in name)
        if parameter.grad is not None:
            torch.testing.assert_close(one, parameter.grad, rtol=1e-6, atol=1e-10, msg=name)
            assert torch.equal(one, other)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(results[0][0][name], value, rtol=1e-6, atol=1e-9, msg=name)


@pytest.mark.slow
def test_torchrun_trains_and_leaves_one_checkpoint(training_words, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        f"--master_port={free_port()}",
        "gefu/train_net.py",
    ]
    words = ["distributed", "True", "ep_iter", "1", "train.epoch", "2", "save_ep", "100", "log_interval", "1"]
    done = subprocess.run(
        [*command, "--cfg_file", CONFIG, *training_words, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    content = load_checkpoint(tmp_path / "trained_model" / "gefu" / "dtu_pretrain" / "latest.pth")
    assert content["recorder"] == {"step": 2}
    assert len(content["net"]) == 436
    assert done.stderr.count("epoch: 0  step: 1") == 1  # the main process alone reports
