"""The scene generator: things on a table, rendered with exact geometry, deterministic by seed."""
