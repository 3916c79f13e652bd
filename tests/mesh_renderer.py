"""The smallest honest `Renderer`: a mesh with a procedural texture, ray-cast, every pixel by itself."""

import numpy as np
import torch

from common.renderer import Renderer, Rendering, SurfaceMesh
from common.synthetic.ray_casting import RayCaster, camera_rays


class MeshRenderer(Renderer):
    """`cameras` remembers what was asked for; `fail_after` renderings it breaks, as a killed process would."""

    def __init__(self, mesh, texture, fail_after=None):
        self.surface, self.texture, self.fail_after = mesh, texture, fail_after
        self.caster = RayCaster(np.asarray(mesh.vertices), np.asarray(mesh.faces))
        self.cameras = []

    def prepare(self, scene, source_ids):
        pass

    def render(self, camera):
        if self.fail_after is not None and len(self.cameras) >= self.fail_after:
            raise KeyboardInterrupt
        self.cameras.append(camera)
        x, y = np.arange(float(camera.width)), np.arange(float(camera.height))
        origins, directions = camera_rays(camera.intrinsics.numpy(), camera.world_to_cam.numpy(), x, y)
        hits = self.caster.first_hits(origins, directions)
        hit = hits.faces >= 0
        depth = np.where(hit, hits.t, 0).astype(np.float32)
        rgb = self.texture(origins + depth[:, None] * directions).astype(np.float32) / 255
        rgb[~hit] = 1
        shape = (camera.height, camera.width)
        parts = (rgb.reshape(*shape, 3), depth.reshape(shape), hit.reshape(shape).astype(np.float32))
        return Rendering(*map(torch.from_numpy, parts))

    def mesh(self):
        vertices, faces = np.asarray(self.surface.vertices), np.asarray(self.surface.faces)
        return SurfaceMesh(torch.from_numpy(vertices).float(), torch.from_numpy(faces).long())
