"""Shared core of the five methods: cameras, rays, datasets, file formats, operations, metrics. It imports no method."""
