"""What the source views show at samples of the target's rays (spec 4.5).

A view's vector is [low features, high features, colour, mask]; the matching vector is [similarity of the low features,
of the high features, colours of all views, masks of all views]. The similarities compare what each pair of views
refined against each other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from common.ops.window_sampling import Window, compare_windows, sample_windows
from idnerf.projection import is_inside, project_normalised
from idnerf.views import EncodedViews


@dataclass(frozen=True)
class Conditioning:
    """At the samples of some rays.

    Attributes:
        coordinates: Normalised position in the first source view.
        features: Part of each view's fused token that comes from its feature maps.
        colors: What the views' pictures show.
        masks: 1 where the sample lies within a view's picture.
        similarity: Cosines of the low, then the high features.
    """

    coordinates: Float[Tensor, "R S 3"]
    features: Float[Tensor, "R S V T"]
    colors: Float[Tensor, "R S V 3"]
    masks: Float[Tensor, "R S V"]
    similarity: Float[Tensor, "R S G"]

    def matching(self) -> Float[Tensor, "R S M"]:
        """The matching vector, similarities + 4 per view."""
        return torch.cat([self.similarity, self.colors.flatten(2), self.masks], dim=-1)


def look_up(
    encoded: EncodedViews, points: Float[Tensor, "R S 3"], groups: tuple[int, int], window: Window
) -> Conditioning:
    """Everything the decoder needs to know about the points.

    The layer that fuses a view's vector is linear, so `encoded` holds maps to which it was already applied; the full
    features are only read for their similarities.

    Args:
        encoded: The sources.
        points: World positions.
        groups: Channel groups of the similarity in the low and high maps.
        window: Where features are read.
    """
    coordinates = coordinates_in_views(encoded, points)
    grid = 2 * coordinates[..., :2] - 1
    low, low_tokens = compare_windows(encoded.low, grid, groups[0], window, encoded.num_tokens)
    high, high_tokens = compare_windows(encoded.high, grid, groups[1], window, encoded.num_tokens)
    return Conditioning(
        coordinates=coordinates[0],
        features=(low_tokens + high_tokens).movedim(0, 2),
        colors=sample_windows(encoded.views.images, grid).movedim(0, 2),
        masks=is_inside(grid).to(points.dtype).movedim(0, 2),
        similarity=torch.cat([low, high], dim=-1),
    )


def view_vectors(encoded: EncodedViews, points: Float[Tensor, "R S 3"], window: Window) -> Float[Tensor, "R S V C"]:
    """Each view's whole vector. Rendering never needs it; it says what `look_up` is equal to."""
    grid = 2 * coordinates_in_views(encoded, points)[..., :2] - 1
    features = [maps[:, : maps.shape[1] - encoded.num_tokens] for maps in (encoded.low, encoded.high)]
    parts = [sample_windows(maps, grid, window) for maps in features]
    parts += [sample_windows(encoded.views.images, grid), is_inside(grid)[..., None].to(points.dtype)]
    return torch.cat(parts, dim=-1).movedim(0, 2)


def coordinates_in_views(encoded: EncodedViews, points: Float[Tensor, "R S 3"]) -> Float[Tensor, "V R S 3"]:
    """Normalised coordinates of the same points in every source view."""
    views = encoded.views
    repeated = points.expand(len(views), *points.shape)
    return project_normalised(repeated, views.extrinsics, views.intrinsics, views.near_fars, views.size)
