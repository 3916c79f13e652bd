"""ID-NeRF: sparse-view synthesis guided by a diffusion prior. Not built yet."""
