"""Volumes beyond dense memory: only voxels that more than one view sees are aggregated and regularised.

The 3D U-Net is that of `reg_net`, with its weights, and the same function where every voxel is occupied. Elsewhere it
is another one: voxels that are not occupied count as 0, also those that a single view sees, and instance normalisation
leaves them out. Weights trained in one mode do not suit the other.

Memory of the aggregation, of the U-Net and of all that is kept for gradients is proportional to the occupied voxels.
What is handed on is dense, as everything that looks values up reads it so: a result of 4 channels and its mask take 20
bytes for every voxel of the cube (more in fine-tuning, which trains the results). On one CPU core an
occupied voxel costs about nine times the time of one in dense mode: this mode saves memory, and time only where few
voxels are occupied.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from common.ops.sparse_conv import Voxels, sparse_conv3d, sparse_conv_transpose3d, sparse_instance_norm
from common.ops.view_statistics import view_statistics
from gens.networks.reg_net import NormedConvolution, NormedTransposed, RegularizationNetwork
from gens.networks.volumes import level_intrinsics

# Voxels of the cube that are aggregated at a time.
_SLAB = 2**21


class SparseLevel(NamedTuple):
    """Aggregated features (mean and variance) of the occupied voxels, and the dense mask that says which these are."""

    values: Float[Tensor, "N C"]
    voxels: Voxels
    mask: Float[Tensor, "1 1 _ _ _"]


def build_sparse_levels(
    features: Sequence[Float[Tensor, "V C _ _"]],
    intrinsics: Float[Tensor, "V 4 4"],
    cam_to_world: Float[Tensor, "V 4 4"],
    dims: Sequence[int],
) -> Iterator[SparseLevel]:
    """What `volumes.build_volumes` computes, at occupied voxels; arguments as there.

    Raises:
        ValueError: No voxel of a level is seen by more than one view.
    """
    world_to_cam = torch.linalg.inv(cam_to_world)
    for level, (maps, dim) in enumerate(zip(features, dims, strict=True)):
        yield _build_level(maps, level_intrinsics(intrinsics, level), world_to_cam, dim)


def _build_level(
    maps: Float[Tensor, "V C _ _"], intrinsics: Float[Tensor, "V 3 3"], world_to_cam: Float[Tensor, "V 4 4"], dim: int
) -> SparseLevel:
    axis = torch.linspace(-1, 1, dim, device=maps.device, dtype=maps.dtype)
    mask = maps.new_empty(dim, dim, dim)
    values, keys = [], []
    planes = max(1, _SLAB // dim**2)
    for first in range(0, dim, planes):
        slab = (maps, intrinsics, world_to_cam, (axis[first : first + planes], axis, axis))
        # Recomputed for gradients: what the statistics keep for theirs is dense.
        own, count = checkpoint(_seen_twice, *slab, use_reentrant=False)
        mask[first : first + planes] = count > 1
        values.append(own)
        keys.append(Voxels.of(count > 1, first, dim).keys)
    if not sum(map(len, keys)):
        raise ValueError(
            f"no voxel of the volume of {dim}^3 is seen by more than one view; check the cameras and the scene's box"
        )
    return SparseLevel(torch.cat(values), Voxels(torch.cat(keys), (dim, dim, dim)), mask[None, None])


def _seen_twice(maps: Tensor, *geometry) -> tuple[Float[Tensor, "N C"], UInt8[Tensor, "_ _ _"]]:
    volume, count = view_statistics(maps, *geometry)
    return volume.movedim(0, -1)[count > 1], count


def regularise_sparse(
    network: RegularizationNetwork, levels: Iterable[SparseLevel]
) -> list[Float[Tensor, "1 C _ _ _"]]:
    """Regularised volumes, dense, 0 where a voxel is not occupied; arguments and results fine to coarse.

    Every level of the network has the voxels of the volume that enters there; below the coarsest volume, those that
    hold an occupied one.
    """
    levels = iter(levels)
    values, voxels, _ = next(levels)
    x = _convolve(network.conv0, values, voxels)
    del values
    grids, skips = [voxels], [x]
    for down, same in network.encoder_layers:
        entering = next(levels, None)
        voxels = grids[-1].halved() if entering is None else entering.voxels
        x = _convolve(same, _convolve(down, x, grids[-1], voxels), voxels)
        grids.append(voxels)
        skips.append(x)
        if entering is not None:
            x = torch.cat([x, entering.values], dim=1)
    x = skips.pop()
    results = []
    for layer, out in zip(reversed(network.decoder_layers), reversed(network.out_layers), strict=True):
        coarse = grids.pop()
        x = _double(layer, x, coarse, grids[-1]) + skips.pop()
        results.append(grids[-1].scatter(sparse_conv3d(x, grids[-1], out.weight, out.bias)))
    return results[::-1]


def _convolve(
    layer: NormedConvolution, x: Tensor, voxels: Voxels, halved: Voxels | None = None
) -> Float[Tensor, "M O"]:
    return _normalise(sparse_conv3d(x, voxels, layer.conv.weight, halved=halved))


def _double(layer: NormedTransposed, x: Tensor, voxels: Voxels, doubled: Voxels) -> Float[Tensor, "M O"]:
    return _normalise(sparse_conv_transpose3d(x, voxels, layer.conv.weight, doubled))


def _normalise(x: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    return sparse_instance_norm(x).relu()
