"""The networks of NeuRay + MRVM."""
