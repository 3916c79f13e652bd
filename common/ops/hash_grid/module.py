"""The hash encoding as a module with its table."""

from jaxtyping import Float
from torch import Tensor, nn

from common.memory import zeros_on_demand
from common.ops._backends import Backend
from common.ops.hash_grid.encode import Interpolation, hash_encode
from common.ops.hash_grid.layout import HashGridLayout


class HashGrid(nn.Module):
    """A hash grid with trainable entries.

    The one parameter, `params`, has the name, order and type that `tinycudann.Encoding` gives it in float precision.
    Entries start uniform in (-1e-4, 1e-4), drawn from PyTorch's generator.

    Args:
        layout: Sizes of the grid.
        interpolation: Between the corners of a cell.
        backend: See `common.ops`.
    """

    def __init__(self, layout: HashGridLayout, interpolation: Interpolation = "smoothstep", backend: Backend = "auto"):
        super().__init__()
        self.layout = layout
        self.interpolation = interpolation
        self.backend = backend
        self.params = nn.Parameter(zeros_on_demand(layout.num_parameters).uniform_(-1e-4, 1e-4))

    def forward(self, x: Float[Tensor, "*points D"]) -> Float[Tensor, "*points C"]:
        """Features of points, see `hash_encode`."""
        flat = hash_encode(x.reshape(-1, x.shape[-1]), self.params, self.layout, self.interpolation, self.backend)
        return flat.unflatten(0, x.shape[:-1])
