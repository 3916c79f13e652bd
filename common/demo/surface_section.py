"""Surfaces from three photographs: every contestant reconstructs the same scenes; table, numbers and meshes to turn."""

import logging
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from common.baselines.painted_mesh import vertex_colors
from common.bounding_cubes import Cube
from common.datasets.loading import load_image
from common.demo.blocks import Block, Heading, Paragraph, Picture, PictureGrid, Section, Table
from common.demo.compare import Contestant
from common.demo.mesh_viewer import MeshViewer, ShownMesh, thinned
from common.demo.report import machine
from common.demo.surfaces import REGIONS, SurfaceScene, scored, visible
from common.meshes.cleaning import keep_faces
from common.metrics.meshes import MESH_PROTOCOLS, MeshScores
from common.renderer import Renderer, SurfaceMesh
from common.visualization import to_uint8

_LOGGER = logging.getLogger(__name__)
_ROWS = (
    ("overall", "Chamfer distance, mm"),
    ("accuracy", "from mesh to truth"),
    ("completeness", "from truth to mesh"),
)


@dataclass(frozen=True)
class SurfaceOutcome:
    """What one contestant reached: lists over scenes, None where it has no mesh.

    Attributes:
        contestant: Who.
        scores: By region.
        seconds: From the photographs to the mesh with its colours.
        meshes: World frame.
    """

    contestant: Contestant
    scores: dict[str, list[MeshScores | None]] = field(default_factory=lambda: {region: [] for region in REGIONS})
    seconds: list[float] = field(default_factory=list)
    meshes: list[SurfaceMesh | None] = field(default_factory=list)

    def mean(self, region: str, name: str = "overall") -> float:
        """Over all scenes; NaN where one is missing, as leaving it out would flatter."""
        values = [float("nan") if one is None else getattr(one, name) for one in self.scores[region]]
        return statistics.fmean(values)


def compare_surfaces(contestants: Sequence[Contestant], scenes: Sequence[SurfaceScene]) -> list[SurfaceOutcome]:
    """Let everybody reconstruct every scene; a scene of which one makes no mesh is noted in the log."""
    outcomes = []
    for contestant in contestants:
        renderer, outcome = contestant.build(), SurfaceOutcome(contestant)
        for one in tqdm(scenes, contestant.title, unit="scene"):
            _add(outcome, renderer, one)
        outcomes.append(outcome)
    return outcomes


def surface_section(
    key: str, title: str, lead: Sequence[str], scenes: Sequence[SurfaceScene], outcomes: Sequence[SurfaceOutcome]
) -> Section:
    """Part of the page: `lead` in paragraphs, the table, then of each scene the photographs and the meshes."""
    blocks: list[Block] = [*map(Paragraph, lead), surface_table(outcomes)]
    for number, one in enumerate(scenes):
        blocks += _scene_blocks(number, one, outcomes)
    return Section(key, title, blocks)


def surface_table(outcomes: Sequence[SurfaceOutcome]) -> Table:
    """One column per contestant: distances in both regions, the smallest marked, and seconds."""
    rows, strong = [], set()
    for region in REGIONS:
        for name, words in _ROWS:
            means = [outcome.mean(region, name) for outcome in outcomes]
            known = [mean for mean in means if mean == mean]
            if known:
                strong.add((len(rows), 1 + means.index(min(known))))
            label = f"{words}: {region}" if name == "overall" else words
            rows.append([label, *(f"{mean:.2f}" if mean == mean else "none" for mean in means)])
    rows.append(["Time", *(f"{statistics.median(outcome.seconds):.1f} s" for outcome in outcomes)])
    count = len(outcomes[0].meshes)
    caption = (
        f"Means over {count} scene{'' if count == 1 else 's'}. {MESH_PROTOCOLS['sampled'].describe()}. Of a mesh and of"
        " the true surface counts what the three photographs show inside the box that they see together, or within the"
        f" objects' outlines. Time is that of one mesh with its colours. Measured on {machine()}."
    )
    return Table(caption, ["", *(outcome.contestant.title for outcome in outcomes)], rows, frozenset(strong))


def surface_numbers(outcomes: Sequence[SurfaceOutcome]) -> dict[str, Any]:
    """Everything measured, for `results.json`; distances in the scenes' unit."""
    return {
        "protocol": MESH_PROTOCOLS["sampled"].describe(),
        "machine": machine(),
        "contestants": [
            {
                "name": outcome.contestant.title,
                "seconds": outcome.seconds,
                "scenes": {
                    region: [None if one is None else _distances(one) for one in scores]
                    for region, scores in outcome.scores.items()
                },
            }
            for outcome in outcomes
        ],
    }


def _distances(score: MeshScores) -> dict[str, float]:
    return {name: getattr(score, name) for name, _ in _ROWS}


def _add(outcome: SurfaceOutcome, renderer: Renderer, one: SurfaceScene) -> None:
    start, mesh = time.perf_counter(), None
    scores: dict[str, MeshScores | None] = dict.fromkeys(REGIONS)
    try:
        renderer.prepare(one.scene, one.source_ids)
        mesh = renderer.mesh()
        outcome.seconds.append(time.perf_counter() - start)
        scores |= scored(mesh, one)
    except ValueError as error:
        _LOGGER.warning("%s has no mesh of %s: %s", outcome.contestant.title, one.scene.name, error)
        outcome.seconds.extend([time.perf_counter() - start] if mesh is None else [])
    outcome.meshes.append(mesh)
    for region, score in scores.items():
        outcome.scores[region].append(score)


def _scene_blocks(number: int, one: SurfaceScene, outcomes: Sequence[SurfaceOutcome]) -> list[Block]:
    title = f"Scene {number + 1}"
    inputs = [
        Picture(to_uint8(load_image(one.scene.views[index])), f"Input photograph {index} of {title}", f"Input {index}")
        for index in one.source_ids
    ]
    truth, cube = _seen_truth(one)
    shown = [ShownMesh(truth, f"True surface of {title}", "True surface, where seen")]
    for outcome in outcomes:
        mesh, name = outcome.meshes[number], outcome.contestant.title
        score = outcome.scores[REGIONS[0]][number]
        if mesh is not None and score is not None:
            shown.append(ShownMesh(mesh, f"{title} reconstructed by {name}", name, f"{score.overall:.2f} mm"))
    missing = [outcome.contestant.title for outcome in outcomes if outcome.scores[REGIONS[0]][number] is None]
    notes = [Paragraph(f"No mesh: {', '.join(missing)}.", quiet=True)] if missing else []
    return [
        Heading(title),
        PictureGrid([("", inputs)], len(inputs), is_strip=True),
        MeshViewer(shown, cube, one.cameras[0]),
        *notes,
    ]


def _seen_truth(one: SurfaceScene) -> tuple[SurfaceMesh, Cube]:
    """What the photographs show of the true surface, in their colours, and a cube around its middle and the box."""
    vertices, faces = visible(one.truth, one, None)
    vertices, faces = keep_faces(vertices, faces, np.ones(len(faces), bool))
    painted = vertex_colors(thinned(SurfaceMesh(torch.from_numpy(vertices).float(), torch.from_numpy(faces))))
    painted.prepare(one.scene, one.source_ids)
    middle = vertices.mean(0)  # near the objects, whose faces are the smallest
    return painted.mesh(), Cube(middle, one.cube.radius + float(np.abs(middle - one.cube.center).max()))
