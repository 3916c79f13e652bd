"""Image, depth and mesh metrics under named protocols."""
