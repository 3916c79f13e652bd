"""GenS as a paper's release writes it: whole volumes at once, PyTorch's own operations, autograd for every gradient.

Validation there runs the code of training: second derivatives, patches, total variation and free-space points of every
chunk of rays are computed and thrown away (spec 12, quirk 30).
"""

import contextlib
import math
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from gens.networks.network import GenS
from gens.networks.ray_sampling import FAR_AWAY, equal_steps, importance_samples
from gens.networks.rendering import Rays, SceneVolumes, render_for_training
from gens.networks.sdf_inference import evaluated_points
from gens.networks.sdf_net import BETA, encode
from gens.networks.volumes import is_seen, level_intrinsics


def build_volumes(features: list[Tensor], inputs: dict[str, Tensor], dims: tuple[int, ...]) -> tuple[list, list]:
    """Aggregated volumes and masks; what every view shows is stored at every voxel."""
    volumes, masks = [], []
    world_to_cam = torch.linalg.inv(inputs["c2ws"])
    for level, (maps, dim) in enumerate(zip(features, dims, strict=True)):
        axis = torch.linspace(-1, 1, dim)
        points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
        to_pixel = level_intrinsics(inputs["intrs"], level)
        points_cam = torch.einsum("vij,pj->vpi", world_to_cam[:, :3, :3], points) + world_to_cam[:, None, :3, 3]
        homogeneous = torch.einsum("vij,vpj->vpi", to_pixel, points_cam)
        height, width = maps.shape[-2:]
        pixels = homogeneous[..., :2] / (homogeneous[..., 2:] + 1e-8)
        grid = 2 * pixels / torch.tensor([width - 1.0, height - 1.0]) - 1
        seen = ((grid.abs() <= 1).all(dim=-1) & (homogeneous[..., 2] > 0)).float()[:, None]
        shown = functional.grid_sample(maps, grid[:, None], align_corners=True)[:, :, 0] * seen
        count = seen.sum(dim=0)
        number = count.clamp(min=1)
        mean = shown.sum(dim=0) / number
        variance = shown.square().sum(dim=0) / number - mean.square()
        volumes.append(torch.cat([mean, variance]).view(1, -1, dim, dim, dim))
        masks.append((count > 1).float().view(1, 1, dim, dim, dim))
    return volumes, masks


@contextlib.contextmanager
def plain_pytorch() -> Iterator[None]:
    """Within, the 3D U-Net runs plainly."""
    replacements = {
        "gens.networks.reg_net.convolve": _convolve,
        "gens.networks.reg_net.normalise": lambda x: functional.instance_norm(x).relu(),
        "gens.networks.reg_net.NormedTransposed.forward": _transposed,
        "gens.networks.reg_net._add": torch.add,
    }
    with contextlib.ExitStack() as stack:
        for name, function in replacements.items():
            stack.enter_context(mock.patch(name, function))
        yield


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    return functional.conv3d(x, weight, bias, stride=stride, padding=1)


def _transposed(self: torch.nn.Module, x: Tensor) -> Tensor:
    return functional.instance_norm(self.conv(x)).relu()


def distances(network: GenS, scene: SceneVolumes, points: Tensor) -> Tensor:
    """Signed distances of a block of points."""
    sdf_network = network.implicit_surface.sdf_network
    grid = points.flip(-1)[None, :, None, None]
    seen = [functional.grid_sample(each, grid, align_corners=True)[0, :, :, 0, 0].T for each in scene.volumes]
    p = encode(points * sdf_network.scale, sdf_network.multires)
    q = encode(torch.cat(seen, dim=-1), sdf_network.feat_multires)
    x = p
    for layer in range(sdf_network.num_layers):
        x = torch.cat([x, p], dim=-1) / math.sqrt(2) if layer in sdf_network.skip_in else x
        x = torch.cat([x, q], dim=-1) if layer else x
        x = getattr(sdf_network, f"lin{layer}")(x)
        x = functional.softplus(x, BETA) if layer < sdf_network.num_layers - 1 else x
    return x[:, 0] / sdf_network.scale


def render_chunk(network: GenS, scene: SceneVolumes, rays: Rays, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A chunk of rays with everything that training needs."""

    def masked(points: Tensor) -> tuple[Tensor, Tensor]:
        seen = is_seen(scene.masks, points)
        evaluated = evaluated_points(seen)
        sdf = points.new_full((len(points),), FAR_AWAY)
        sdf[evaluated] = distances(network, scene, points[evaluated])
        return sdf, seen

    start = equal_steps(inputs["near"], inputs["far"], len(rays.origins), network.sampling)
    z = importance_samples(*rays, start, masked, network.sampling)
    last = 2 / network.sampling.n_samples
    return render_for_training(network.implicit_surface, scene, rays, z, last, 1.0)
