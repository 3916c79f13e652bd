"""Several processes that train one network: starting as torchrun's environment says, and BatchNorm across processes.

Works with nccl on GPUs and with gloo on CPUs. Rank 0 is the main process: it saves, validates and logs.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

_LOGGER = logging.getLogger(__name__)
_PATIENCE = timedelta(hours=3)  # the other ranks wait at a collective while rank 0 validates


@contextlib.contextmanager
def distributed_run(
    enabled: bool, local_rank: int = 0, use_gpu: bool = True, init_method: str | None = None
) -> Iterator[torch.device]:
    """Join the other processes for the length of the block; yields the device of this process.

    Args:
        enabled: Whether several processes are meant to work together.
        local_rank: From the command line; the environment variable LOCAL_RANK wins.
        use_gpu: Take a GPU where there is one.
        init_method: How the processes find each other; None and "env://" take the launcher's environment.

    Raises:
        RuntimeError: The environment of a launcher is missing, or is there although `enabled` is off.
    """
    if not enabled:
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise RuntimeError(
                f"started as {os.environ['WORLD_SIZE']} processes but the setting distributed is False; "
                "append 'distributed True'"
            )
        yield torch.device("cuda" if use_gpu and torch.cuda.is_available() else "cpu")
        return
    if "RANK" not in os.environ:
        raise RuntimeError(
            "distributed is True but no launcher started this process; start it with torchrun --nproc_per_node=N"
        )
    local_rank = int(os.environ.get("LOCAL_RANK", local_rank))
    device = torch.device("cpu")
    if use_gpu and torch.cuda.is_available():
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    ranks = {"rank": int(os.environ["RANK"]), "world_size": int(os.environ.get("WORLD_SIZE", 1))}
    if init_method in (None, "env://"):
        init_method, ranks = None, {}
    dist.init_process_group(choose_backend(device), init_method, timeout=_PATIENCE, **ranks)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def choose_backend(device: torch.device) -> str:
    """Name of the back-end: nccl where each process has a GPU of its own; gloo on CPUs and where they share one."""
    if device.type != "cuda":
        return "gloo"
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if local > torch.cuda.device_count():
        _LOGGER.warning("%d processes share %d GPU(s), which is slow", local, torch.cuda.device_count())
        return "gloo"
    return "nccl"


def launched_processes() -> int:
    """How many processes a launcher started for this run: torchrun, or SLURM's srun, whose names are translated."""
    environment = os.environ
    if "RANK" not in environment and "SLURM_PROCID" in environment and int(environment.get("SLURM_NTASKS", 1)) > 1:
        environment["RANK"] = environment["SLURM_PROCID"]
        environment["WORLD_SIZE"] = environment["SLURM_NTASKS"]
        environment.setdefault("LOCAL_RANK", environment.get("SLURM_LOCALID", "0"))
        environment.setdefault("MASTER_ADDR", environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
        environment.setdefault("MASTER_PORT", "29500")
    return int(environment.get("WORLD_SIZE", 1))


def mean_over_processes(totals: dict[str, float], count: int, device: torch.device) -> dict[str, float]:
    """Sums of every process divided by the sum of their counts; the names are the same everywhere.

    Args:
        totals: Sums of this process.
        count: How many values it summed; nothing is returned where all counts are 0.
        device: Of the process group.
    """
    values = torch.tensor([*totals.values(), float(count)], dtype=torch.float64, device=device)
    if is_distributed():
        dist.all_reduce(values)
    *sums, number = values.tolist()
    return {name: total / number for name, total in zip(totals, sums, strict=True)} if number else {}


def is_distributed() -> bool:
    """Whether this process works together with others."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Number of this process among all of them; 0 when alone."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Number of processes; 1 when alone."""
    return dist.get_world_size() if is_distributed() else 1


def is_main_process() -> bool:
    """Whether this process saves, validates and logs."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if is_distributed():
        dist.barrier()


def broadcast_integer(value: int, device: torch.device, source: int = 0) -> int:
    """The value of rank `source`, on every rank."""
    if not is_distributed():
        return value
    tensor = torch.tensor(value, device=device, dtype=torch.int64)
    dist.broadcast(tensor, src=source)
    return int(tensor)


def broadcast_text(text: str, device: torch.device, source: int = 0) -> str:
    """The text of rank `source`, on every rank."""
    if not is_distributed():
        return text
    encoded = text.encode()
    content = torch.zeros(broadcast_integer(len(encoded), device, source), dtype=torch.uint8, device=device)
    if rank() == source:
        content.copy_(torch.tensor(list(encoded), dtype=torch.uint8))
    dist.broadcast(content, src=source)
    return bytes(content.tolist()).decode()


def gather_texts(text: str, device: torch.device) -> list[str]:
    """Every rank's text in their order, on every rank."""
    return [broadcast_text(text, device, source) for source in range(world_size())]


def broadcast_buffers(module: nn.Module) -> None:
    """Give every rank the buffers of rank 0: BatchNorm's running statistics, which each gathers from its own items."""
    if is_distributed():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def sum_over_processes(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sum of every process's tensor, which has the same shape everywhere."""
    total = values.clone()
    if is_distributed():
        dist.all_reduce(total)
    return total


class _SumOverProcesses(torch.autograd.Function):
    """Sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose statistics in training are those of all processes together, on any device and back-end.

    `torch.nn.SyncBatchNorm` does the same on GPUs only. Processes may hold batches of different size.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")

    def forward(self, input: Float[Tensor, "B C *rest"]) -> Float[Tensor, "B C *rest"]:
        """Normalise over everything but the channels."""
        if not self.training or not is_distributed():
            return super().forward(input)
        axes = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        count = input.new_tensor([input.numel() / input.shape[1]])
        dist.all_reduce(count)
        mean = _SumOverProcesses.apply(input.sum(axes)) / count
        centered = input - mean.view(shape)
        variance = _SumOverProcesses.apply(centered.square().sum(axes)) / count
        if self.track_running_stats:
            self._update_running(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centered * torch.rsqrt(variance + self.eps).view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)

    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        factor = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, factor)
        self.running_var.lerp_(variance, factor)


def synchronize_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """The network with every BatchNorm replaced by one over all processes; parameters, buffers and their names stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            replacement = SyncBatchNorm(
                child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
            )
            replacement._parameters, replacement._buffers = child._parameters, child._buffers
            replacement.train(child.training)
            setattr(module, name, replacement)
        else:
            synchronize_batch_norm(child, device)
    return module
