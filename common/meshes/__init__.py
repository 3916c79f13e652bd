"""Triangle meshes: out of a field, cleaned, and shown.

extraction.py       `extract_surface`: the zero level of a signed distance field
narrow_band.py      which points of the grid need to be evaluated
marching.py         PyMCubes on blocks, joined
"""

from common.meshes.extraction import extract_surface

__all__ = ["extract_surface"]
