"""Ground truth of DTU, for scoring reconstructions. Millimetres.

GT/Points/stl/stl<NNN>_total.ply    points of the structured-light scan             (DTU's Points.zip)
GT/ObsMask/ObsMask<N>_10.mat        ObsMask, BB, Res: where the scanner saw         (DTU's SampleSet.zip, MVS Data)
GT/ObsMask/Plane<N>.mat             P: the table                                    (the same)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from common.io.data_files import check_data_file
from common.io.point_clouds import read_points

_WHERE_FROM = (
    "SampleSet.zip (folder 'MVS Data/ObsMask') and Points.zip (folder 'stl') are offered at"
    " https://roboimagedata.compute.dtu.dk/?page_id=36"
)


@dataclass(frozen=True)
class DtuGroundTruth:
    """What is known of one scan.

    Attributes:
        points: On the surface.
        observed: Voxels that the scanner saw, axes x, y, z.
        box: Lower and upper corner of the voxels.
        resolution: Side of a voxel.
        plane: a, b, c, d; points of the object, above the table, have a x + b y + c z + d > 0.
    """

    points: Float[np.ndarray, "P 3"]
    observed: Bool[np.ndarray, "X Y Z"]
    box: Float[np.ndarray, "2 3"]
    resolution: float
    plane: Float[np.ndarray, "4"]


def read_dtu_ground_truth(folder: str | Path, scan: int) -> DtuGroundTruth:
    """Ground truth of one scan.

    Raises:
        FileNotFoundError: A file is missing; the sentence says where to get it.
        ValueError: A file is broken.
    """
    folder = Path(folder)
    stl = folder / "Points" / "stl" / f"stl{scan:03d}_total.ply"
    mask, plane = folder / "ObsMask" / f"ObsMask{scan}_10.mat", folder / "ObsMask" / f"Plane{scan}.mat"
    for path in (stl, mask, plane):
        if not path.is_file():
            raise FileNotFoundError(f"no ground truth {path}; {_WHERE_FROM}")
    voxels = _read_mat(mask, {"ObsMask": (None, None, None), "BB": (2, 3), "Res": (1, 1)})
    table = _read_mat(plane, {"P": (4, 1)})["P"].astype(np.float64).reshape(4)
    return DtuGroundTruth(
        read_points(stl).astype(np.float64),
        voxels["ObsMask"] > 0,
        voxels["BB"].astype(np.float64),
        float(voxels["Res"].item()),
        table,
    )


def _read_mat(path: Path, shapes: dict[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    check_data_file(path)
    try:
        content = loadmat(path, variable_names=list(shapes))
    except Exception as error:  # scipy's reader raises anything on broken files
        raise ValueError(f"cannot read {path}: {type(error).__name__}: {error}; fetch it again") from None
    for name, shape in shapes.items():
        value = content.get(name)
        fits = isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.ndim == len(shape)
        if not fits or any(side not in (None, actual) for side, actual in zip(shape, value.shape, strict=True)):
            got = "nothing" if value is None else f"{value.dtype} of shape {value.shape}"
            raise ValueError(f"{path} should hold {name} of shape {shape}, got {got}; fetch it again")
    return {name: content[name] for name in shapes}
