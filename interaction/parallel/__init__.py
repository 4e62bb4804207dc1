"""Many devices: the mesh, and where each parameter lives on it."""
