"""A set of posed views as tensors: the specification's `imgs_info`."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class ViewBatch:
    """Views of one scene at one size. Cameras have OpenCV axes and pixel centres at integers.

    Attributes:
        poses: World to camera, `[R | t]`.
        Ks: Intrinsics in pixels of the picture before padding.
        depth_range: Near and far, z along the optical axis.
        imgs: In [0, 1], padded at the bottom and right; None for a camera without a photograph.
        masks: 1 on the foreground.
        depth: z along the optical axis, 0 where unknown.
        size: Height and width of the pictures (of the picture to render where `imgs` is None).
        true_depth: Depth before noise was added, where there is ground truth.
        nn_ids: For each view the indices of its neighbours among the source views.
        coords: Positions (x, y) of the rays of a query view, in pixels.
    """

    poses: Float[Tensor, "n 3 4"]
    Ks: Float[Tensor, "n 3 3"]
    depth_range: Float[Tensor, "n 2"]
    size: tuple[int, int]
    imgs: Float[Tensor, "n 3 h w"] | None = None
    masks: Float[Tensor, "n 1 h w"] | None = None
    depth: Float[Tensor, "n 1 h w"] | None = None
    true_depth: Float[Tensor, "n 1 h w"] | None = None
    nn_ids: Int[Tensor, "n k"] | None = None
    coords: Float[Tensor, "1 r 2"] | None = None

    def __len__(self) -> int:
        return len(self.poses)

    def select(self, ids: Int[Tensor, " m"]) -> "ViewBatch":
        """The views of these indices, in this order."""
        per_view = ("poses", "Ks", "depth_range", "imgs", "masks", "depth", "true_depth", "nn_ids")
        chosen = {name: value[ids] for name in per_view if (value := getattr(self, name)) is not None}
        return replace(self, **chosen)

    def to(self, device: torch.device | str) -> "ViewBatch":
        """The same views on a device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


@dataclass(frozen=True)
class TrainingItem:
    """What one step of training or one validated picture needs.

    Attributes:
        references: The views that are blended.
        query: The one view to render; its `coords` are the rays.
        sources: Views that the cost volume reads, in the order that `references.nn_ids` counts; None for depth.
        scene_name: Database name; ground-truth depth is compared only where it starts with `gso`.
        step: Training step, for the weight of the feature loss.
    """

    references: ViewBatch
    query: ViewBatch
    sources: ViewBatch | None = None
    scene_name: str = ""
    step: int = 0

    def to(self, device: torch.device | str) -> "TrainingItem":
        """The same item on a device."""
        views = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, ViewBatch)}
        return replace(self, **views)


@dataclass(frozen=True)
class SceneItem(TrainingItem):
    """The same for a network of one scene.

    Attributes:
        reference_numbers: Which of the scene's reference views `references` are.
        query_number: Which of them the query is; None for any other camera.
    """

    reference_numbers: tuple[int, ...] = ()
    query_number: int | None = None
