"""Classical view synthesis without any learning: what every method has to beat, in the same run, on the same inputs.

nearest_view            the nearest photograph, unchanged
plane_sweep_blending    depth by a plane sweep, then the photographs blended through it
painted_mesh            a given mesh with colours per vertex, or with a texture of a chosen memory
visual_hull             a mesh from object masks
depth_fusion            a mesh from photographs: plane-sweep depth of each, checked against the others and fused
"""
