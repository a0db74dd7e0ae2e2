"""Read and check image files: formats, headers, geometry and labels of masks."""
