"""The hash featurised manifold: a hash grid read at points of the surface."""

from jaxtyping import Float
from torch import Tensor, nn

from common.ops.hash_grid import HashGrid, HashGridLayout


class HashTexel(nn.Module):
    """Features of points in [-1, 1]^3; the grid has its released name, `spatial_enc`."""

    def __init__(self, layout: HashGridLayout):
        super().__init__()
        self.spatial_enc = HashGrid(layout, interpolation="smoothstep")

    def forward(self, points: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points Z"]:
        # This order, in float32: the finest level turns one unit in the last place into 3e-4 of a cell.
        return self.spatial_enc(0.5 * points + 0.5)
