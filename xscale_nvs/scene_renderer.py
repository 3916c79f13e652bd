"""XScale-NVS as a `Renderer`: any scene that has a mesh, any pinhole camera at any size."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from common.cameras import Camera
from common.conversion.pictures import pinhole_picture
from common.conversion.xscale_scene import plain_name
from common.datasets.scene import Scene
from common.io.images import write_image
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera
from common.ops.rasterize import MeshRasterizer
from common.renderer import Renderer, Rendering, SurfaceMesh
from xscale_nvs.networks.model import XscaleModel
from xscale_nvs.networks.painter import Painter
from xscale_nvs.parameters import Params
from xscale_nvs.ray_cache import open_ray_cache
from xscale_nvs.ray_caching import cache_rays
from xscale_nvs.ray_slicing import slice_rays
from xscale_nvs.scene_mesh import SceneMesh, load_mesh
from xscale_nvs.test_views import painter_of
from xscale_nvs.trainer import ENDLESS, Trainer
from xscale_nvs.view_painting import paint_view

_LOGGER = logging.getLogger(__name__)


class XscaleRenderer(Renderer):
    """Paints the scene's mesh.

    Args:
        params: Settings; `ss_ratio`, `z_near`, `z_far` and `trajectory_*` decide how views are rendered, everything
            else how a model is fitted.
        model: Trained on the scene; None fits one to the source views in `prepare`.
        folder: Where a fit keeps its rays and checkpoints, to be continued from; None takes a temporary one.

    Raises:
        ValueError: There is no model, and `max_epoch` would let a fit go on for ever.
    """

    def __init__(self, params: Params, model: XscaleModel | None = None, folder: str | Path | None = None):
        if model is None and params.max_epoch >= ENDLESS:
            raise ValueError(
                "without weights a model is fitted to the source views, which needs a finite max_epoch; give "
                "overrides=('max_epoch', '400') or weights"
            )
        self._params = params
        self._model = None if model is None else model.to(params.device).eval()
        self._folder = folder
        self._mesh: SceneMesh | None = None
        self._rasterizer: MeshRasterizer | None = None
        self._painter: Painter | None = None

    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Read the mesh; with a trained model nothing else, without one fit it to the source views.

        Raises:
            ValueError: The scene has no mesh, or there is no source view to fit to.
        """
        if scene.mesh is None:
            raise ValueError(
                f"scene '{scene.name}' has no mesh, which XScale-NVS paints; set Scene.mesh to a file in the frame of "
                "the cameras"
            )
        model = self._model or _fit(self._params, scene, source_ids, self._folder)
        mesh = load_mesh(scene.mesh).to(self._params.device)
        model.set_box(mesh.center, mesh.scale)
        self._mesh, self._rasterizer = mesh, MeshRasterizer(mesh.vertices, mesh.faces)
        self._painter = painter_of(model, self._params)

    def render(self, camera: Camera) -> Rendering:
        """The picture seen by `camera` with all its intrinsics, on the camera's device.

        Depth bounds are `z_near` and `z_far`, not the camera's: those bound samples, and this method takes none.
        """
        if self._mesh is None or self._rasterizer is None or self._painter is None:
            raise RuntimeError("prepare(scene, source_ids) must be called before render(camera)")
        camera = replace(camera, near_far=(self._params.z_near, self._params.z_far))
        painted = paint_view(self._mesh, self._rasterizer, self._painter, camera, self._params.ss_ratio)
        device = camera.intrinsics.device
        return Rendering(painted.rgb.to(device), painted.depth.to(device), painted.covered.float().to(device))

    def stored_bytes(self) -> int | None:
        """Memory of the model: hash grid, network and codes; None before `prepare`."""
        if self._painter is None:
            return None
        return sum(value.numel() * value.element_size() for value in self._painter.model.state_dict().values())

    def mesh(self) -> SurfaceMesh | None:
        """The mesh that is painted, without colours; None before `prepare`."""
        return None if self._mesh is None else SurfaceMesh(self._mesh.vertices, self._mesh.faces)


def _fit(params: Params, scene: Scene, source_ids: Sequence[int], folder: str | Path | None) -> XscaleModel:
    """A model trained on the source views of a scene, by way of the ray cache."""
    if not source_ids:
        raise ValueError("without weights XScale-NVS is fitted to source views, got none")
    with _working_folder(folder) as place:
        params = _write_scene_folder(params, scene, source_ids, place)
        cache_rays(params)
        slice_rays(params)
        keep = Path(params.checkpoint_dir) if folder is not None else None
        return Trainer(params, open_ray_cache(params, params.device), keep).run()


@contextlib.contextmanager
def _working_folder(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder).absolute()
        return
    with tempfile.TemporaryDirectory(prefix="xscale-nvs-") as name:
        yield Path(name)


def _write_scene_folder(params: Params, scene: Scene, source_ids: Sequence[int], folder: Path) -> Params:
    """The source views in the paper's layout, and settings that train on all of them with their full intrinsics.

    Photographs become PNG files without their lens, so that nothing is lost.
    """
    scene = scene.with_pixel_origin("corner")
    views = [scene.views[index] for index in source_ids]
    names = [f"V{position:05d}_{plain_name(view.name)}" for position, view in enumerate(views)]
    strangers = {path.stem for path in (folder / "images").glob("*.png")} - set(names)
    if strangers:
        raise ValueError(f"{folder} holds pictures of another fit, {min(strangers)} for one; choose another folder")
    for name, view in zip(names, views, strict=True):
        if view.image is None:
            raise ValueError(f"view '{view.name}' has no picture to fit to; choose source views that have one")
        path = folder / "images" / f"{name}.png"
        if not path.is_file():
            write_image(path, pinhole_picture(view, "corner"))
        write_mvsnet_camera(folder / "cams" / f"{name}_cam.txt", MvsnetCamera(view.intrinsics, view.world_to_cam, ()))
    own = {
        "root_file": str(folder),
        "datasetFolder": str(folder),
        "modelName": "scene",
        "imgNamePattern": str(folder / "images" / "*.png"),
        "poseFolder": str(folder / "cams"),
        "atlas_load_path": str(scene.mesh),
        "attribute_cache_path": str(folder / "caches"),
        "checkpoint_dir": str(folder / "state"),
        "training_view_list": list(range(len(source_ids))),
        "load_checkpoint_dir": None,
        "full_intrinsics": True,
        "num_lit": 1,
    }
    return Params(**{**vars(params), **own})
