"""Multiresolution hash encoding (Müller et al., "Instant Neural Graphics Primitives", 2022).

A point x is read from a grid of features on every level l (scales s_l, resolutions R_l and sizes T_l: `layout`):

    p = s_l x + 0.5 (one rounding)        c = floor(p)        f = p - c
    w = f^2 (3 - 2 f) (smoothstep) or f (linear), per axis
    feature_l = sum over the corners b in {0,1}^D of prod_k (w_k if b_k else 1 - w_k) * table_l[index(c + b)]
    index(q) = (q_x + q_y R + q_z R^2) mod T                             if R^D <= T
             = (q_x xor 2654435761 q_y xor 805459861 q_z) mod T          otherwise; everything modulo 2^32

Nothing clamps x: the far border of a dense level wraps into the next row, and points outside [0, 1] follow the
unsigned wrap-around. Parameters have the layout of tiny-cuda-nn's HashGrid in float precision, so that checkpoints go
both ways.
"""

from common.ops.hash_grid.encode import Interpolation, hash_encode
from common.ops.hash_grid.layout import HashGridLayout
from common.ops.hash_grid.module import HashGrid

__all__ = ["HashGrid", "HashGridLayout", "Interpolation", "hash_encode"]
