"""The whole model: points of the surface to the colours of a photograph.

xyz     = (xyz - center) / scale * 2              the mesh's box becomes a cube
feature = mean over sub-samples of grid(xyz)
view    = normalise(sum over sub-samples of the view directions)
rgb     = tone(shading(feature, view, light code, exposure code))
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from common.ops.hash_grid import HashGridLayout
from xscale_nvs.networks.manifold import HashTexel
from xscale_nvs.networks.shading import ShadingMachine
from xscale_nvs.parameters import Params
from xscale_nvs.tone import tone


class XscaleModel(nn.Module):
    """State-dict names and their order are those of the released training program.

    V views, R rays per view, M sub-samples per ray.

    Args:
        layout: Of the hash grid.
        hidden: Width of the shading network.
        num_lights: Rows of the light table.
        light_length: Columns of the light table.
        num_exposures: Rows of the exposure table, one per training view; None for a model without exposure codes.
        exposure_length: Columns of the exposure table.
        use_light_codes: False: every view takes row 0.

    Attributes:
        center, scale: Box of the mesh in scene units, see `set_box`; not in the state dict.
    """

    def __init__(
        self,
        layout: HashGridLayout,
        hidden: int = 64,
        num_lights: int = 1,
        light_length: int = 8,
        num_exposures: int | None = None,
        exposure_length: int = 4,
        use_light_codes: bool = True,
    ):
        super().__init__()
        has_exposure = num_exposures is not None
        self.shading_machine = ShadingMachine(
            layout.num_features, hidden, light_length, exposure_length if has_exposure else None
        )
        self.spatial_encoding = HashTexel(layout)
        self.x_embeddings_list = nn.ModuleList([_code_table(num_exposures, exposure_length)] if has_exposure else [])
        self.l_embeddings_list = nn.ModuleList([_code_table(num_lights, light_length)])
        self.use_light_codes = use_light_codes
        self.register_buffer("center", torch.zeros(3), persistent=False)
        self.register_buffer("scale", torch.ones(3), persistent=False)

    def set_box(self, center: Float[Tensor, "3"], scale: Float[Tensor, "3"]) -> None:
        """Tell the model which box of the scene is its unit cube: the mesh's middle and its sides."""
        self.center.copy_(center)
        self.scale.copy_(scale)

    def light_code(self, lights: Int[Tensor, " V"]) -> Float[Tensor, "V 1 light"]:
        """Codes of lighting conditions."""
        return self._look_up(self.l_embeddings_list[0], lights if self.use_light_codes else torch.zeros_like(lights))

    def exposure_code(self, positions: Int[Tensor, " V"] | None = None) -> Float[Tensor, "V 1 exposure"] | None:
        """Codes of training views by position; the mean of all for None; None for a model without exposure codes."""
        if not self.x_embeddings_list:
            return None
        table = self.x_embeddings_list[0]
        if positions is not None:
            return self._look_up(table, positions)
        everything = torch.arange(table.num_embeddings, device=table.weight.device)
        return table(everything).mean(dim=0)[None, None]

    def forward(
        self,
        xyz: Float[Tensor, "V R M 3"],
        viewdr: Float[Tensor, "V R M 3"],
        light: Float[Tensor, "#V #R light"],
        exposure: Float[Tensor, "#V #R exposure"] | None = None,
    ) -> Float[Tensor, "V R 3"]:
        """Colours in [-0.001, 1.001].

        Args:
            xyz: Surface points, world frame.
            viewdr: Unit directions from the camera to the points.
            light: As `light_code` gives it.
            exposure: As `exposure_code` gives it.
        """
        shading = self.shading_machine.render_net_c
        return tone(shading(self.features(xyz), self.view_direction(viewdr), light, exposure))

    def features(self, xyz: Float[Tensor, "V R M 3"]) -> Float[Tensor, "V R Z"]:
        """Features of rays: the mean over their sub-samples."""
        features = self.spatial_encoding(self.normalised(xyz))
        return features[..., 0, :] if xyz.shape[-2] == 1 else features.mean(dim=-2)

    def normalised(self, xyz: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        """World points in the box, which is [-1, 1]^3; in float32 and in this order (see `HashTexel`)."""
        return (xyz - self.center) / self.scale * 2

    @staticmethod
    def view_direction(viewdr: Float[Tensor, "V R M 3"]) -> Float[Tensor, "V R 3"]:
        """One unit direction per ray."""
        return normalize(viewdr.sum(dim=-2), dim=-1, eps=1e-8)

    @staticmethod
    def _look_up(table: nn.Embedding, rows: Tensor) -> Tensor:
        for row in (int(rows.min()), int(rows.max())):
            if not 0 <= row < table.num_embeddings:
                raise ValueError(f"there is no row {row} in a table of {table.num_embeddings} codes")
        return table(rows)[:, None]


def build_model(params: Params, num_exposures: int | None = None) -> XscaleModel:
    """A newly initialised model of the sizes in the parameters.

    Args:
        params: Settings.
        num_exposures: Rows of the exposure table; None takes the number of training views.
    """
    layout = HashGridLayout(
        n_levels=params.hash_n_levels,
        features_per_level=params.z_length_s,
        log2_hashmap_size=params.log2_hashmap_size,
        base_resolution=params.hash_base_resol,
        per_level_scale=params.hash_per_level_scale,
    )
    rows = len(params.training_view_list) if num_exposures is None else num_exposures
    return XscaleModel(
        layout,
        hidden=params.descriptor_dim,
        num_lights=params.num_lit,
        light_length=params.z_length_l,
        num_exposures=rows if params.use_exp_emb else None,
        exposure_length=params.z_length_x,
        use_light_codes=params.use_lit_emb,
    )


def _code_table(rows: int, length: int) -> nn.Embedding:
    """Codes from a normal distribution of deviation 0.1; a row longer than 1 is shortened when it is looked up."""
    table = nn.Embedding(rows, length, max_norm=1.0)
    nn.init.normal_(table.weight, std=0.1)
    return table
