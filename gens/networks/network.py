"""GenS: a signed distance field from a few posed images, in one forward pass (spec 4.11).

    images -> feature maps -> aggregated volumes -> 3D U-Net -> distance, colour, sharpness -> rendered rays

Attributes that own parameters, and the entries of inputs and results, keep the names of the released program. An item
is one scene; it has no batch axis.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from common.memory import keep_freed_memory
from common.parallel import run_in_threads
from gens.networks.blending import source_views
from gens.networks.feature_net import FeatureNetwork
from gens.networks.implicit_surface import ImplicitSurface
from gens.networks.patches import patch_maps
from gens.networks.ray_sampling import SamplingSettings, equal_steps, importance_samples
from gens.networks.reg_net import RegularizationNetwork
from gens.networks.rendering import Rays, SceneVolumes, render_for_training, render_for_viewing
from gens.networks.sdf_inference import SdfField
from gens.networks.sparse_volumes import SparseLevel, build_sparse_levels, regularise_sparse
from gens.networks.volumes import Volumes, build_volumes, is_seen

Inputs = Mapping[str, Any]

# Rays of a chunk in validation; the random shift of their samples is drawn chunk by chunk.
VALIDATION_RAYS = 256
# Every so many epochs the matching features become those that are trained, and from the first such epoch on are used.
MATCHING_EPOCHS = 5


def build_network(model_cfg: Mapping[str, Any]) -> "GenS":
    """The network of a config's `model` block; keys that are absent have the released values."""
    surface = dict(model_cfg.get("implicit_surface", {}))
    features = model_cfg.get("feature_network", {})
    reg = model_cfg.get("reg_network", {})
    volume = model_cfg.get("volume", {})
    return GenS(
        volume_dims=list(volume.get("volume_dims", (256, 128, 64, 32, 16))),
        feature_channels=list(features.get("d_out", [4] * 5)),
        reg_in_channels=list(reg.get("d_voluem", [8] * 5)),
        reg_out_channels=list(reg.get("d_out", [4] * 5)),
        reg_base=int(reg.get("d_base", 8)),
        sampling=SamplingSettings(**surface.pop("render", {})),
        implicit_surface=surface,
        sparse=bool(volume.get("sparse", False)),
    )


class GenS(nn.Module):
    """The whole network.

    A scene that is fine-tuned brings its own volumes and features (`use_volumes`); `has_vol` is then true.

    Args:
        volume_dims: Voxels along an axis, fine to coarse, each half of the one before.
        feature_channels: Of the five feature maps.
        reg_in_channels, reg_out_channels, reg_base: Of the 3D U-Net.
        sampling: Samples along rays.
        implicit_surface: Blocks of the networks that read the volumes.
        sparse: Volumes are built at occupied voxels only (`sparse_volumes`); released weights need the dense ones.

    Raises:
        ValueError: The numbers of levels or channels contradict each other.
    """

    def __init__(
        self,
        volume_dims: Sequence[int] = (256, 128, 64, 32, 16),
        feature_channels: Sequence[int] = (4, 4, 4, 4, 4),
        reg_in_channels: Sequence[int] = (8, 8, 8, 8, 8),
        reg_out_channels: Sequence[int] = (4, 4, 4, 4, 4),
        reg_base: int = 8,
        sampling: SamplingSettings | None = None,
        implicit_surface: Mapping[str, Any] | None = None,
        sparse: bool = False,
    ):
        super().__init__()
        _check_levels(volume_dims, feature_channels, reg_in_channels, reg_out_channels)
        self.volume_dims = tuple(volume_dims)
        self.sparse = sparse
        self.sampling = sampling or SamplingSettings()
        self.feature_network = FeatureNetwork(feature_channels)
        self.match_feature_network = FeatureNetwork(feature_channels).requires_grad_(False)
        self.match_feature_network.load_state_dict(self.feature_network.state_dict())
        self.reg_network = RegularizationNetwork(reg_in_channels, reg_out_channels, reg_base)
        self.implicit_surface = ImplicitSurface(**(implicit_surface or {}))
        self.has_vol = False

    def forward(
        self, mode: str, inputs: Inputs, cos_anneal_ratio: float = 1.0, step: float | None = None
    ) -> dict[str, Tensor]:
        """Spec 4.11.

        Args:
            mode: `val` renders every ray of the item in chunks, without gradients, and returns pictures (spec 4.12
                without the mesh); anything else renders the item's rays for the losses (spec 4.9).
            inputs: `imgs intrs c2ws rays_o rays_d near far`; for `val` also `hw`, the size of the picture; with stored
                volumes also `view_ids` in training; `pseudo_pts` where there are any.
            cos_anneal_ratio: 0 to 1, grows in early training.
            step: Epochs since the start, in training across scenes.
        """
        if mode == "val":
            scene = self.build_scene(inputs)
            return self.render_view(scene, inputs)
        scene = self._training_scene(inputs, step)
        rays, surface = Rays(inputs["rays_o"], inputs["rays_d"]), self.implicit_surface
        field = SdfField(surface.sdf_network, scene.volumes, scene.masks)
        z = self._sample(field, rays, inputs)
        last = 2 / self.sampling.n_samples
        outputs = render_for_training(surface, scene, rays, z, last, cos_anneal_ratio)
        if inputs.get("pseudo_pts") is not None:
            outputs["pseudo_sdf"] = self._pseudo_sdf(inputs["pseudo_pts"], scene)
        return outputs

    def encode(self, images: Float[Tensor, "V 3 H W"]) -> list[Float[Tensor, "V C _ _"]]:
        """Feature maps, fine to coarse."""
        return self.feature_network(images)

    def build_volumes(
        self,
        features: Sequence[Float[Tensor, "V C _ _"]],
        intrinsics: Float[Tensor, "V 4 4"],
        cam_to_world: Float[Tensor, "V 4 4"],
    ) -> tuple[list[Float[Tensor, "1 C _ _ _"]], list[Float[Tensor, "1 1 _ _ _"]]]:
        """Regularised volumes and masks, fine to coarse."""
        masks = []

        def sparse_levels() -> Iterator[SparseLevel]:
            for level in build_sparse_levels(features, intrinsics, cam_to_world, self.volume_dims):
                masks.append(level.mask)
                yield level
                del level

        def aggregated() -> Iterator[Tensor]:
            for volume, mask in build_volumes(features, intrinsics, cam_to_world, self.volume_dims):
                masks.append(mask)
                yield volume
                del volume

        if self.sparse:
            return regularise_sparse(self.reg_network, sparse_levels()), masks
        return self.reg_network(aggregated()), masks

    @torch.no_grad()
    def build_scene(self, inputs: Inputs) -> SceneVolumes:
        """What is needed to look at a scene, without gradients (`imgs intrs c2ws` of the item)."""
        images, intrinsics, cam_to_world = inputs["imgs"], inputs["intrs"], inputs["c2ws"]
        if images.device.type == "cpu":
            keep_freed_memory()
        if self.has_vol:
            features, volumes, masks = self._stored_features(len(images)), list(self.volumes), list(self.mask_volmes)
        else:
            features = self.encode(images)
            volumes, masks = self.build_volumes(features, intrinsics, cam_to_world)
        sources = source_views(images, features, intrinsics, cam_to_world)
        return SceneVolumes(volumes, masks, sources, intrinsics, cam_to_world)

    def use_volumes(self, volumes: Volumes, masks: Volumes, features: Sequence[Float[Tensor, "V C _ _"]]) -> None:
        """Store a scene's own volumes (trained from now on), masks and features (both constant)."""
        self.volumes = nn.ParameterList([nn.Parameter(volume.detach().clone()) for volume in volumes])
        self.mask_volmes = _constants(masks)
        self.features = _constants(features)
        self.has_vol = True

    @torch.no_grad()
    def initialize_volumes(self, inputs: Inputs) -> None:
        """Store what the generic network makes of all views of a scene, in eval mode (spec 6)."""
        was_training = self.training
        self.eval()
        features = self.encode(inputs["imgs"])
        self.use_volumes(*self.build_volumes(features, inputs["intrs"], inputs["c2ws"]), features)
        self.train(was_training)

    def sdf_field(self, scene: SceneVolumes) -> SdfField:
        """Distances at many points of a scene."""
        return SdfField(self.implicit_surface.sdf_network, scene.volumes, scene.masks)

    def sdf(self, points: Float[Tensor, "P 3"], volumes: Volumes) -> Float[Tensor, "P 1"]:
        """Distances, differentiable."""
        return self.implicit_surface.sdf_network.sdf(points, volumes)

    @torch.no_grad()
    def render_rays(self, scene: SceneVolumes, inputs: Inputs) -> dict[str, Tensor]:
        """Maps of the item's rays (`rays_o rays_d near far`): see `render_for_viewing`."""
        field, last = self.sdf_field(scene), 2 / self.sampling.n_samples
        chunks = range(0, len(inputs["rays_o"]), VALIDATION_RAYS)
        tasks = []
        for first in chunks:
            part = slice(first, first + VALIDATION_RAYS)
            rays = Rays(inputs["rays_o"][part], inputs["rays_d"][part])
            start = equal_steps(inputs["near"], inputs["far"], len(rays.origins), self.sampling)
            tasks.append(partial(self._view_chunk, field, scene, rays, start, last))
        with tqdm(total=len(tasks), desc="rendering", unit="chunk", disable=None if len(tasks) > 1 else True) as bar:

            def finished(task: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
                result = task()
                bar.update()
                return result

            counted = [partial(finished, task) for task in tasks]
            results = run_in_threads(counted) if field.is_on_cpu else [task() for task in counted]
        return {name: torch.cat([result[name] for result in results]) for name in results[0]}

    def render_view(self, scene: SceneVolumes, inputs: Inputs) -> dict[str, Tensor]:
        """Spec 4.12 without the mesh: `color_fine img_fine normal_img sdf_depth render_depth`, pictures 0 to 255."""
        size = tuple(int(side) for side in inputs["hw"])
        maps = self.render_rays(scene, inputs)
        return {
            "color_fine": maps["color_fine"].cpu(),
            "img_fine": (maps["color_fine"] * 256).clamp(0, 255).view(*size, 3),
            "normal_img": (maps["normal_inside"] * 128 + 128).clamp(0, 255).view(*size, 3),
            "sdf_depth": maps["sdf_depth"].view(size),
            "render_depth": maps["render_depth"].view(size),
        }

    def _view_chunk(
        self, field: SdfField, scene: SceneVolumes, rays: Rays, start: Tensor, last: float
    ) -> dict[str, Tensor]:
        z = importance_samples(*rays, start, field.masked, self.sampling)
        return render_for_viewing(self.implicit_surface, field, scene, rays, z, last)

    def _sample(self, field: SdfField, rays: Rays, inputs: Inputs) -> Float[Tensor, "R N"]:
        start = equal_steps(inputs["near"], inputs["far"], len(rays.origins), self.sampling)
        return importance_samples(*rays, start, field.masked, self.sampling)

    def _training_scene(self, inputs: Inputs, step: float | None) -> SceneVolumes:
        images, intrinsics, cam_to_world = inputs["imgs"], inputs["intrs"], inputs["c2ws"]
        if self.has_vol:
            features = matching = [maps[inputs["view_ids"]] for maps in self.features]
            volumes, masks = list(self.volumes), list(self.mask_volmes)
        else:
            features, matching = self.encode(images), self._matching_features(images, step)
            volumes, masks = self.build_volumes(features, intrinsics, cam_to_world)
        read = features if step is None or step < MATCHING_EPOCHS else matching
        sources = source_views(images, features, intrinsics, cam_to_world)
        return SceneVolumes(volumes, masks, sources, intrinsics, cam_to_world, patch_maps(read))

    @torch.no_grad()
    def _matching_features(self, images: Tensor, step: float | None) -> list[Tensor]:
        """Features of the frozen network; it runs even where they are not read, as its running statistics change."""
        if step is not None and step % MATCHING_EPOCHS == 0:
            self.match_feature_network.load_state_dict(self.feature_network.state_dict())
        return self.match_feature_network(images)

    def _pseudo_sdf(self, points: Float[Tensor, "P 3"], scene: SceneVolumes) -> Float[Tensor, "P 1"]:
        """Distances where a mask is set, 0 elsewhere."""
        indices = is_seen(scene.masks, points).nonzero()[:, 0]
        sdf = points.new_zeros(len(points), 1)
        if len(indices) == 0:
            return sdf
        return sdf.index_copy(0, indices, self.sdf(points[indices], scene.volumes))

    def _stored_features(self, num_views: int) -> list[Tensor]:
        """The stored features in their own order, which must be that of the item's views."""
        if len(self.features[0]) != num_views:
            raise ValueError(
                f"the fine-tuned volumes were made from {len(self.features[0])} views but the item has {num_views}; "
                "choose num_src_view so that reference and sources are as many"
            )
        return list(self.features)


def _constants(tensors: Sequence[Tensor]) -> nn.ParameterList:
    return nn.ParameterList([nn.Parameter(tensor.detach().clone(), requires_grad=False) for tensor in tensors])


def _check_levels(dims: Sequence[int], features: Sequence[int], reg_in: Sequence[int], reg_out: Sequence[int]) -> None:
    if not len(dims) == len(features) == len(reg_in) == len(reg_out) == 5:
        raise ValueError(
            "volume.volume_dims, feature_network.d_out, reg_network.d_voluem and reg_network.d_out must have five "
            f"entries each, got {len(dims)}, {len(features)}, {len(reg_in)} and {len(reg_out)}"
        )
    if list(reg_in) != [2 * channels for channels in features]:
        raise ValueError(
            "reg_network.d_voluem must be twice feature_network.d_out (mean and variance), "
            f"got {list(reg_in)} and {list(features)}"
        )
    if any(fine != 2 * coarse for fine, coarse in itertools.pairwise(dims)) or dims[0] < 64:
        raise ValueError(
            f"volume.volume_dims must be halved from level to level and start with at least 64, got {list(dims)}"
        )
