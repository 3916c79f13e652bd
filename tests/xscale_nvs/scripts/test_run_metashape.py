import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from xscale_nvs.scripts import run_metashape

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "xscale_nvs" / "scripts" / "run_metashape.py"

# What the Python reference of Metashape 2.2 lists for these methods, as far as the script needs it.
DOCUMENTED = {
    "matchPhotos": "downscale downscale_3d generic_preselection reference_preselection reference_preselection_mode"
    " filter_mask mask_tiepoints filter_stationary_points keypoint_limit keypoint_limit_3d keypoint_limit_per_mpx"
    " tiepoint_limit keep_keypoints pairs cameras guided_matching reset_matches subdivide_task",
    "alignCameras": "cameras point_clouds min_image adaptive_fitting reset_alignment subdivide_task align_laser_scans",
    "exportCameras": "path format crs save_points save_markers save_invalid_matches use_labels use_initial_calibration",
    "buildDepthMaps": "downscale filter_mode cameras reuse_depth max_neighbors subdivide_task",
    "buildModel": "surface_type interpolation face_count face_count_custom source_data classes vertex_colors"
    " vertex_confidence volumetric_masks keep_depth replace_asset trimming_radius cameras frames subdivide_task",
    "exportModel": "path binary precision texture_format save_texture save_uv save_normals save_colors save_confidence"
    " save_cameras save_markers save_udim save_alpha embed_texture save_comment format crs shift",
}

ENUMERATIONS = (
    *("ReferencePreselectionSource", "CamerasFormatXML", "MildFiltering", "Arbitrary", "EnabledInterpolation"),
    *("HighFaceCount", "DepthMapsData", "ImageFormatPNG"),
)


class Chunk:
    """A chunk (or a frame, which is one too) that writes down what it is asked to do."""

    def __init__(self, calls, name, num_frames=0, unknown=()):
        self.calls, self.name, self.unknown = calls, name, set(unknown)
        self.frames = [Chunk(calls, f"{name}.frame{index}", 0, unknown) for index in range(num_frames)]
        self.cameras = [SimpleNamespace(label=label, transform=pose) for label, pose in (("a", 1), ("b", None))]

    def __getattr__(self, method):
        if method not in DOCUMENTED:
            raise AttributeError(method)

        def step(*arguments, **settings):
            for setting in settings:
                if setting not in DOCUMENTED[method].split() or setting in self.unknown:
                    raise TypeError(f"'{setting}' is an invalid keyword argument for {method}()")
            self.calls.append((self.name, method, arguments, settings))

        step.__name__ = method
        return step


def fake_metashape(num_chunks=1, num_frames=1, unknown=(), version="2.2.1.20"):
    """The module, with every enumeration value as its own name."""
    calls = []

    class Document:
        chunks: tuple = ()

        def open(self, path):
            calls.append(("document", "open", (path,), {}))
            self.chunks = [Chunk(calls, f"chunk{index}", num_frames, unknown) for index in range(num_chunks)]

        def save(self):
            calls.append(("document", "save", (), {}))

    module = ModuleType("Metashape")
    module.app = SimpleNamespace(document=Document(), version=version)
    for name in ENUMERATIONS:
        setattr(module, name, name)
    module.calls = calls
    return module


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project.psz").write_bytes(b"PK")
    return tmp_path


def run(monkeypatch, module, project):
    monkeypatch.setitem(sys.modules, "Metashape", module)
    run_metashape.main(["--root", str(project)])
    return module.calls


def test_the_steps_come_in_the_papers_order_with_its_settings(monkeypatch, project):
    assert run(monkeypatch, fake_metashape(), project) == [
        ("document", "open", (str(project / "project.psz"),), {}),
        (
            "chunk0.frame0",
            "matchPhotos",
            (),
            {
                "downscale": 0,
                "generic_preselection": False,
                "reference_preselection": True,
                "reference_preselection_mode": "ReferencePreselectionSource",
                "filter_mask": False,
                "mask_tiepoints": True,
                "keypoint_limit": 0,
                "tiepoint_limit": 0,
                "keep_keypoints": True,
                "guided_matching": False,
                "reset_matches": False,
            },
        ),
        ("chunk0", "alignCameras", (), {"min_image": 2, "adaptive_fitting": True, "reset_alignment": False}),
        (
            "chunk0",
            "exportCameras",
            (str(project / "cams.xml"),),
            {"format": "CamerasFormatXML", "save_points": False, "use_initial_calibration": True},
        ),
        (
            "chunk0.frame0",
            "buildDepthMaps",
            (),
            {"downscale": 1, "filter_mode": "MildFiltering", "reuse_depth": False, "max_neighbors": -1},
        ),
        (
            "chunk0.frame0",
            "buildModel",
            (),
            {
                "surface_type": "Arbitrary",
                "interpolation": "EnabledInterpolation",
                "face_count": "HighFaceCount",
                "face_count_custom": 200000,
                "source_data": "DepthMapsData",
                "vertex_colors": False,
                "vertex_confidence": False,
                "volumetric_masks": False,
                "keep_depth": False,
                "trimming_radius": 10,
            },
        ),
        (
            "chunk0.frame0",
            "exportModel",
            (str(project / "1.obj"),),
            {
                "texture_format": "ImageFormatPNG",
                "save_texture": True,
                "save_uv": True,
                "save_normals": True,
                "save_colors": True,
                "save_confidence": False,
                "save_cameras": False,
                "save_markers": False,
                "save_comment": False,
            },
        ),
        ("document", "save", (), {}),
    ]


def test_every_frame_is_matched_before_its_chunk_is_aligned_and_the_project_is_saved_once(monkeypatch, project, capsys):
    calls = [(who, what) for who, what, _, _ in run(monkeypatch, fake_metashape(2, 2), project)]
    for chunk in ("chunk0", "chunk1"):
        aligned = calls.index((chunk, "alignCameras"))
        for frame in (f"{chunk}.frame0", f"{chunk}.frame1"):
            assert calls.index((frame, "matchPhotos")) < aligned < calls.index((frame, "buildDepthMaps"))
    assert calls.count(("document", "save")) == 1 and calls[-1] == ("document", "save")
    assert "has 4 chunks or frames, and the last one's files replace the others'" in capsys.readouterr().out


def test_settings_that_a_version_does_not_know_are_left_out_and_named(monkeypatch, project, capsys):
    module = fake_metashape(unknown=("use_initial_calibration", "save_confidence"), version="1.6.2.10247")
    settings = {what: given for _, what, _, given in run(monkeypatch, module, project)}
    assert "use_initial_calibration" not in settings["exportCameras"] and settings["exportCameras"]["format"]
    assert "save_confidence" not in settings["exportModel"] and settings["exportModel"]["save_normals"]
    assert "exportCameras does not know 'use_initial_calibration', it is left out" in capsys.readouterr().out


def test_photographs_that_could_not_be_aligned_are_named(monkeypatch, project, capsys):
    run(monkeypatch, fake_metashape(), project)
    assert "1 of 2 photographs could not be aligned: b" in capsys.readouterr().out


def fails(capsys, *arguments):
    with pytest.raises(SystemExit, match="1"):
        run_metashape.main([*arguments])
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and message.startswith("error: ")
    return message


def test_the_missing_module_is_one_sentence_that_says_where_to_get_it(monkeypatch, project, capsys):
    monkeypatch.setitem(sys.modules, "Metashape", None)
    message = fails(capsys, "--root", str(project))
    assert "https://www.agisoft.com/downloads/installer/" in message and "licence" in message
    monkeypatch.setitem(sys.modules, "Metashape", ModuleType("Metashape"))
    assert "is not Agisoft's" in fails(capsys, "--root", str(project))
    monkeypatch.setitem(sys.modules, "Metashape", fake_metashape(version="1.5.5.9097"))
    assert "Metashape 1.5.5.9097 names its settings differently" in fails(capsys, "--root", str(project))


def test_a_missing_project_an_empty_one_and_a_failing_step_are_one_sentence(monkeypatch, project, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "Metashape", fake_metashape(num_chunks=0))
    assert "has no chunk with photographs" in fails(capsys, "--root", str(project))
    module = fake_metashape()
    monkeypatch.setitem(sys.modules, "Metashape", module)
    assert "no " in fails(capsys, "--root", str(tmp_path / "nowhere")) and not module.calls

    def save():
        raise Exception("No license found")

    module.app.document.save = save
    assert "Metashape stopped in save: No license found" in fails(capsys, "--root", str(project))


def test_it_needs_nothing_but_python_38():
    """Metashape runs it with its own interpreter, which has none of our packages."""
    tree = ast.parse(SCRIPT.read_text(encoding="utf8"), feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "argparse", "sys", "pathlib", "Metashape"}


@pytest.mark.parametrize("folder", [".", "xscale_nvs", "xscale_nvs/scripts"])
def test_it_starts_from_the_root_and_from_inside(folder):
    script = SCRIPT.relative_to(ROOT / folder)
    run = subprocess.run([sys.executable, str(script), "--help"], cwd=ROOT / folder, capture_output=True, text=True)
    assert run.returncode == 0 and "project.psz" in run.stdout
