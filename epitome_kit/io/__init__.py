"""Image files read and checked: formats, headers, geometry and the labels of masks."""
