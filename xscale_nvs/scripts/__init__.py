"""The paper's preparation of a scene: reconstruction with Metashape and its cameras as text."""
