"""Training objective: the mean absolute difference of colours.

The paper's second term compares predicted normals with the mesh's; the prediction is the input, so it is exactly zero,
and so is its weight.
"""

from jaxtyping import Float
from torch import Tensor


def absolute_difference(rgb: Float[Tensor, "V R 3"], colour: Float[Tensor, "V R 3"]) -> Float[Tensor, ""]:
    """Sum of |rgb - colour|; divided by the number of values of a whole step it is the paper's loss."""
    return (rgb - colour).abs().sum()
