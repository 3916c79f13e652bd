"""What an item holds; tensors without a batch axis. Names are the paper's."""

from typing import TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Item(TypedDict, total=False):
    """A reference view with its rays, and the views that show the same scene; view 0 is the reference.

    Attributes:
        imgs: RGB, 0 to 255/256.
        intrs, c2ws: In the item's cube, see `gens.data.geometry`.
        masks: 1 where the object is.
        scale_mat: Cube to world.
        view_ids: In the scene (fine-tuning: positions among the views of the fine-tuning).
        rays_o, rays_d: In the cube; directions of unit length.
        color: Of the rays' pixels.
        near, far: Distances along every ray.
        depth, pseudo_depth, mask: Of the rays' pixels; depths are z in cube units, 0 where unknown.
        depth_ref, mask_ref, pseudo_depth_ref: The same for the whole reference view.
        pseudo_pts: Points of the surface by the pseudo depth, where there are enough.
        bound_min, bound_max: The cube in which a mesh is extracted (validation).
        hw: Rows and columns of the lattice of rays (validation).
        scene, file_name: For the names of output files (validation).
    """

    imgs: Float[Tensor, "V 3 H W"]
    intrs: Float[Tensor, "V 4 4"]
    c2ws: Float[Tensor, "V 4 4"]
    masks: Float[Tensor, "V H W"]
    scale_mat: Float[Tensor, "4 4"]
    view_ids: Int[Tensor, " V"]
    rays_o: Float[Tensor, "R 3"]
    rays_d: Float[Tensor, "R 3"]
    color: Float[Tensor, "R 3"]
    near: Float[Tensor, "1 1"]
    far: Float[Tensor, "1 1"]
    depth: Float[Tensor, " R"]
    pseudo_depth: Float[Tensor, " R"]
    mask: Float[Tensor, " R"]
    depth_ref: Float[Tensor, "H W"]
    mask_ref: Float[Tensor, "H W"]
    pseudo_depth_ref: Float[Tensor, "H W"]
    pseudo_pts: Float[Tensor, "P 3"]
    bound_min: Float[Tensor, "3"]
    bound_max: Float[Tensor, "3"]
    hw: Int[Tensor, "2"]
    scene: str
    file_name: str


def cube_bounds() -> Item:
    """The bounds of every item's cube."""
    return {"bound_min": -torch.ones(3), "bound_max": torch.ones(3)}
