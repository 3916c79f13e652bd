"""Real Forward-Facing scenes (`nerf_llff_data`), for tests (spec 3.2)."""

from collections.abc import Sequence

from idnerf.data.forward_facing import ForwardFacingDataset, PosedScene
from idnerf.data.view_lists import every_eighth, view_lists


class LlffDataset(ForwardFacingDataset):
    """Targets of the paper's lists (`eval_mode` "mvsnerf") or every eighth view ("gpnr")."""

    name = "llff"
    bound_factor = 0.75
    recenter = True

    def split(self, scene: PosedScene) -> tuple[Sequence[int], Sequence[int]]:
        """View ids of sources and of targets."""
        if self.settings.eval_mode == "gpnr":
            return every_eighth(range(len(scene.images)))
        pairs = view_lists()["pairs"]
        if f"{scene.name}_train" not in pairs:
            raise ValueError(
                f"the paper has no views for a scene {scene.name!r}; take every eighth as target with"
                " --data_test.llff.eval_mode=gpnr, or leave the scene out with --data_test.llff.scene_list"
            )
        return pairs[f"{scene.name}_train"], pairs[f"{scene.name}_val"]
