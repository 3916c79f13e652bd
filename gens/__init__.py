"""GenS (NeurIPS 2023): a surface mesh from a few photos. Not built yet."""
