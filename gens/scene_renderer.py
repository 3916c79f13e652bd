"""GenS as a `Renderer`: any scene from any reader, any camera at any size, and the scene's mesh.

Volumes are built once per set of source views, in a cube whose axes are those of the first source's camera, as in
training. All source views are blended; the camera that is rendered takes the place of the paper's reference view.

Without a given cube: sparse points, where the scene has some, tell where the subject is. Without points, depth bounds
as tight as a studio's (far / near up to 2.5) are trusted, as the paper does, and the cube surrounds all frusta; else it
surrounds what the views see together.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from common.bounding_cubes import Cube, draw_cube, frustum_cube, subject_cube
from common.cameras import Camera, invert_rigid
from common.datasets.depth_range_estimation import with_estimated_bounds
from common.datasets.loading import load_image
from common.datasets.scene import Scene
from common.meshes import extract_surface
from common.rays import camera_rays
from common.renderer import Renderer, Rendering, SurfaceMesh
from gens.data.geometry import cube_geometry
from gens.data.views import WHITE, working_camera
from gens.networks.blending import look_at_sources, source_views
from gens.networks.rendering import SceneVolumes

BLOCK = 32
TIGHT = 2.5  # far / near
CLOSEST = 0.05  # rays begin at least this far from the camera, cube units
SOLID = 0.5  # opacity from which a ray has a depth
TO_RGB = np.float32(WHITE / 255.0)


class GensRenderer(Renderer):
    """Renders and reconstructs with a trained network.

    Args:
        network: As `gens.load` returns it.
        size: (height, width) that tells how many pixels source pictures are brought to.
        device: Where to compute.
        cube: Its centre (world) and radius, within which the surface is sought; None finds one from the cameras, see
            `preview`.
        factor: Scales the cube around the frusta.
        mesh_resolution: Grid points along a side of the cube.

    Attributes:
        cube: The one in use, in the frame of the first source's camera.
    """

    def __init__(
        self,
        network: nn.Module,
        size: tuple[int, int] = (480, 640),
        device: str | torch.device = "cpu",
        cube: Cube | None = None,
        factor: float = 1.0,
        mesh_resolution: int = 256,
    ):
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self.mesh_resolution = mesh_resolution
        self._size, self._given, self._factor = size, cube, factor
        self.cube: Cube | None = None
        self._world_to_frame = torch.eye(4, dtype=torch.float64)
        self._volumes: SceneVolumes | None = None
        self._cameras: list[Camera] = []
        self._images: Float[Tensor, "V 3 H W"] | None = None

    @torch.no_grad()
    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Read at least two source views and build the volumes.

        Depth bounds that the scene does not give are estimated from its pictures.

        Raises:
            ValueError: Fewer than two sources, or cameras that see nothing together.
        """
        if len(source_ids) < 2:
            raise ValueError(f"GenS compares source views with each other and needs at least 2, got {len(source_ids)}")
        scene = scene.with_pixel_origin("center")
        is_estimated = any(scene.views[index].near_far is None for index in source_ids)
        if is_estimated:
            scene = with_estimated_bounds(replace(scene, views=tuple(scene.views[index] for index in source_ids)))
            source_ids = range(len(source_ids))
        views = [scene.views[index] for index in source_ids]
        height, width = self._working_size(views[0].image.size)
        pictures = [load_image(view, (width, height), interpolation=cv2.INTER_NEAREST, divisor=WHITE) for view in views]
        cameras = [working_camera(view, height, width) for view in views]
        self._world_to_frame = cameras[0].world_to_cam.double()
        self._cameras = [self._in_frame(camera) for camera in cameras]
        self.cube = self._find_cube(scene, is_estimated)
        geometry = cube_geometry(self._cameras, self.cube.to_world, np.eye(4))
        self._images = self._tensor(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
        intrs, c2ws = self._tensor(geometry.intrs), self._tensor(geometry.c2ws)
        features = self.network.encode(self._images)
        volumes, masks = self.network.build_volumes(features, intrs, c2ws)
        twice = [0, *range(len(c2ws))]  # the first takes the reference's place, so that all are sources
        sources = source_views(self._images[twice], [maps[twice] for maps in features], intrs[twice], c2ws[twice])
        self._volumes = SceneVolumes(volumes, masks, sources, intrs, c2ws)

    @torch.no_grad()
    def render(self, camera: Camera) -> Rendering:
        """The picture seen by `camera`, on the camera's device; black where nothing is."""
        scene = self._prepared()
        moved = cube_geometry([self._in_frame(camera)], self.cube.to_world, np.eye(4))
        c2w = self._tensor(moved.c2ws)
        sources = scene.sources._replace(reference_center=c2w[0, :3, 3])
        view = replace(scene, sources=sources, cam_to_world=torch.cat([c2w, scene.cam_to_world[1:]]))
        intrinsics = self._tensor(moved.intrs)[0, :3, :3]
        _, directions = camera_rays(intrinsics, invert_rigid(c2w[0]), camera.height, camera.width)
        directions = torch.nn.functional.normalize(directions.reshape(-1, 3), dim=-1)
        near, far = moved.near_fars[0].tolist()
        inputs = {
            "rays_o": c2w[0, :3, 3].expand_as(directions),
            "rays_d": directions,
            "near": self._tensor([[max(near, CLOSEST)]]),
            "far": self._tensor([[far]]),
        }
        maps = self.network.render_rays(view, inputs)
        opacity = maps["opacity"].clamp(0, 1)
        depth = torch.where(opacity > SOLID, maps["render_depth"] / opacity.clamp(min=SOLID), 0) * self.cube.radius
        rgb = (maps["color_fine"] * TO_RGB.item()).clamp(0, 1)
        shape, device = (camera.height, camera.width), camera.world_to_cam.device
        return Rendering(*(values.unflatten(0, shape).to(device) for values in (rgb, depth, opacity)))

    @torch.no_grad()
    def mesh(self) -> SurfaceMesh:
        """The surface in the world, with the colours that the source views blend to.

        Raises:
            RuntimeError: `prepare` was not called.
            ValueError: There is no surface in the cube.
        """
        scene = self._prepared()

        def colors(points: Float[Tensor, "P 3"]) -> Float[Tensor, "P 3"]:
            blended = self.network.implicit_surface.color_network(*look_at_sources(scene.sources, points))
            return (blended * TO_RGB.item()).clamp(0, 1)

        return extract_surface(
            self.network.sdf_field(scene),
            resolution=self.mesh_resolution,
            to_world=np.linalg.inv(self._world_to_frame.numpy()) @ self.cube.to_world,
            colors=colors,
            device=self.device,
        )

    def preview(self) -> UInt8[np.ndarray, "H W 3"]:
        """The source pictures side by side with the edges of the cube that is reconstructed."""
        self._prepared()
        pictures = (self._images.cpu() * WHITE).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return draw_cube(self.cube, self._cameras, list(pictures))

    def _prepared(self) -> SceneVolumes:
        if self._volumes is None:
            raise RuntimeError("prepare(scene, source_ids) must be called before rendering or asking for the mesh")
        return self._volumes

    def _in_frame(self, camera: Camera) -> Camera:
        """The camera in the frame of the first source's."""
        world_to_cam = camera.world_to_cam.cpu().double() @ invert_rigid(self._world_to_frame)
        return replace(camera, intrinsics=camera.intrinsics.cpu(), world_to_cam=world_to_cam)

    def _find_cube(self, scene: Scene, is_estimated: bool) -> Cube:
        to_frame = self._world_to_frame.numpy()
        if self._given is not None:
            return Cube(to_frame[:3, :3] @ self._given.center + to_frame[:3, 3], self._given.radius)
        if scene.points is not None:
            return subject_cube(self._cameras, scene.points @ to_frame[:3, :3].T + to_frame[:3, 3])
        if not is_estimated and all(camera.near_far[1] <= TIGHT * camera.near_far[0] for camera in self._cameras):
            return frustum_cube(self._cameras, self._factor)
        return subject_cube(self._cameras)

    def _working_size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """(height, width) in multiples of 32, about the setting's number of pixels in the picture's proportions."""
        width, height = stored
        scale = (self._size[0] * self._size[1] / (width * height)) ** 0.5
        return tuple(max(BLOCK, BLOCK * round(side * scale / BLOCK)) for side in (height, width))

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)
