"""XScale-NVS (CVPR 2024): gigapixel-detail views on a mesh. Not built yet."""
