"""NeuRay + MRVM (ICLR 2024): occlusion-aware rendering. Not built yet."""
