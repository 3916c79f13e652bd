"""Rendering from the views' own probabilities, without an aggregation network (spec 5.11; no released config uses it).

Opacities are averaged over the views; colours are a function on the sphere of directions, fitted to the views' colours
by ridge regression in spherical harmonics of degree 3.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class SphericalFitter(nn.Module):
    """`sph_fitter`: the ridge of the regression, part of every checkpoint."""

    regs: Float[Tensor, "16"]

    def __init__(self):
        super().__init__()
        ridge = [0.0] + [0.001] * 3 + [0.005] * 5 + [0.05] * 7
        self.register_buffer("regs", torch.tensor(ridge))

    def fit(
        self,
        directions: Float[Tensor, "*points V 3"],
        colors: Float[Tensor, "*points V 3"],
        weights: Float[Tensor, "*points V"],
    ) -> Float[Tensor, "*points 16 3"]:
        """Coefficients of the function that has about these colours in these directions."""
        weights = torch.where(weights.sum(dim=-1, keepdim=True) < 1e-4, weights + 1e-4, weights)
        basis = spherical_harmonics(directions)
        weighted = (basis * weights[..., None]).mT
        return torch.linalg.solve(weighted @ basis + torch.diag(self.regs), weighted @ colors)

    def predict(
        self, coefficients: Float[Tensor, "*points 16 3"], directions: Float[Tensor, "*points K 3"]
    ) -> Float[Tensor, "*points K 3"]:
        """Colours in directions."""
        return spherical_harmonics(directions) @ coefficients


def direct_rendering(
    fitter: SphericalFitter,
    alpha_logit: Float[Tensor, "V R N"],
    hit: Float[Tensor, "V R N"],
    visibility: Float[Tensor, "V R N"],
    rgb: Float[Tensor, "V R N 3"],
    valid: Bool[Tensor, "V R N"],
    view_directions: Float[Tensor, "V R N 3"],
    query_directions: Float[Tensor, "R N 3"],
    ground_state: float = -15.0,
) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N 3"]]:
    """Opacity and colour of every sample.

    Args:
        fitter: The regression.
        alpha_logit: Of the views, `ground_state` where one does not see the sample.
        hit: Of the views, 0 where one does not see the sample.
        visibility: Of the views, 0 where one does not see the sample.
        rgb: What the views show.
        valid: Whether a view sees the sample.
        view_directions: Unit vectors towards the views.
        query_directions: Unit vectors towards the query camera.
        ground_state: Logit of the opacity where no view sees the sample.
    """
    logit = (visibility * alpha_logit).sum(dim=0) / (visibility.sum(dim=0) + 1e-5)
    alpha = torch.sigmoid(logit.masked_fill(~valid.any(dim=0), ground_state))
    weights = hit / (hit.sum(dim=0) + 1e-3)
    coefficients = fitter.fit(view_directions.movedim(0, -2), rgb.movedim(0, -2), weights.movedim(0, -1))
    return alpha, fitter.predict(coefficients, query_directions[..., None, :])[..., 0, :]


def spherical_harmonics(directions: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 16"]:
    """The basis up to degree 3, without the usual factors."""
    x, y, z = directions.unbind(dim=-1)
    xx, yy, zz = x * x, y * y, z * z
    basis = [
        torch.ones_like(x),
        *(x, y, z),
        *(x * y, y * z, 2 * zz - xx - yy, z * x, xx - yy),
        *((3 * xx - yy) * y, x * y * z, y * (4 * zz - xx - yy), z * (2 * zz - 3 * xx - 3 * yy)),
        *(x * (4 * zz - xx - yy), (xx - yy) * z, (xx - 3 * yy) * x),
    ]
    return torch.stack(basis, dim=-1)
