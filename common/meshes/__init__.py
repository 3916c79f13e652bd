"""Triangle meshes: out of a field, cleaned, and shown.

extraction.py       `extract_surface`: the zero level of a signed distance field
narrow_band.py      which points of the grid need to be evaluated
marching.py         PyMCubes on blocks, joined
cleaning.py         what to keep: faces that cameras see, large components
preview.py          a shaded picture of a mesh

Files are read and written by `common.io.meshes`, distances measured by `common.metrics.meshes`.
"""

from common.meshes.extraction import extract_surface

__all__ = ["extract_surface"]
