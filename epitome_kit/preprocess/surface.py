"""Skull stripping by a surface: BET, the classic before networks, as a lesson in a page or two.

A balloon is set into the middle of the head and blown up until it meets the dark
rim between brain and skull. Each of its points feels three forces: one spreads the
points evenly, one keeps the surface smooth, and one pushes it out where the scan
along its inward normal is bright, and in where it meets something dark.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import nibabel as nib
import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import ConvexHull

from epitome_kit.errors import ImageError
from epitome_kit.images import image_like, load_image, resample, resample_isotropic
from epitome_kit.preprocess.head import robust_range

PARAMETERS = {"fraction": 0.5, "grid_mm": 2.0, "steps": 1000, "subdivisions": 4}
"""Fraction of the local brightness at which brain ends; grid; length of the fit; fineness of the mesh."""

_MIN_RADIUS_MM, _MAX_RADIUS_MM = 3.33, 10.0
_DEPTH_MM, _BRIGHT_DEPTH_MM = 20.0, 10.0
_PUSH = 0.05
_CENTRING_ROUNDS, _CENTRING_STEPS, _CENTRING_FINENESS = 3, 250, 2
_SMALLEST_BRAIN_ML = 100


def strip_with_surface(image, *, fraction=PARAMETERS["fraction"]):
    """Find the brain by blowing up a mesh inside the head until it meets the dark rim of the brain.

    Made for T1, where CSF and skull are dark. On other contrasts and on thick
    slices it often fails, which is why networks took over.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k), any orientation and voxel size.
    fraction : float, default=0.5
        From 0 to 1: how bright the edge of the brain is between the darkest
        and the locally brightest voxel. Smaller finds a larger brain.

    Returns
    -------
    Nifti1Image
        Brain mask of uint8 on the grid of the scan.

    Raises
    ------
    ImageError
        The scan cannot be read, or no brain is found in it.

    Notes
    -----
    The forces and their constants are those of the paper. The middle of the
    head is looked for more than once, each time inside the brain found last,
    which its program calls ``-R``; a surface that crosses itself is not mended.

    References
    ----------
    Smith, Hum Brain Mapp 2002, doi:10.1002/hbm.10062
    """
    image = load_image(image, where="skull_strip")
    head = _look_at(image)
    for _ in range(_CENTRING_ROUNDS):
        inside = fill_surface(blow_up(head, icosphere(_CENTRING_FINENESS), _CENTRING_STEPS, fraction), head)
        head = _place(head, inside)
    mesh = icosphere(PARAMETERS["subdivisions"])
    inside = fill_surface(blow_up(head, mesh, PARAMETERS["steps"], fraction), head)
    volume_ml = inside.sum() * head.grid_mm**3 / 1000
    if volume_ml < _SMALLEST_BRAIN_ML:
        raise ImageError(
            "skull_strip",
            "a scan of a head",
            f"{volume_ml:.0f} mL inside the surface in {image.get_filename() or 'the image'}",
            "look at the scan, or use `method='network'`",
        )
    on_scan = resample(nib.Nifti1Image(inside.astype(np.float32), head.affine), image.affine, image.shape)
    return image_like((np.asarray(on_scan.dataobj) > 0.5).astype(np.uint8), image)


@dataclass(frozen=True)
class Mesh:
    """A ball of triangles.

    Attributes
    ----------
    points : ndarray, shape (n, 3)
        On the sphere of radius 1.
    faces : ndarray of int, shape (f, 3)
        Points of each triangle, anticlockwise seen from outside.
    edges : ndarray of int, shape (e, 2)
    mean_of_neighbours : sparse array, shape (n, n)
    sum_of_faces : sparse array, shape (n, f)
        Adds up over the triangles around each point.
    """

    points: np.ndarray
    faces: np.ndarray
    edges: np.ndarray
    mean_of_neighbours: sparse.csr_array
    sum_of_faces: sparse.csr_array


@dataclass(frozen=True)
class Head:
    """What the surface has to know of a scan.

    Attributes
    ----------
    data : ndarray of float32, shape (i, j, k)
        On cubic voxels.
    affine : ndarray, shape (4, 4)
    grid_mm : float
        Voxel size.
    dark, threshold, bright : float
        As :func:`~epitome_kit.preprocess.head.robust_range` tells them.
    typical : float
        Median intensity around the middle.
    centre : ndarray, shape (3,)
        Middle of the head, in mm from the first voxel.
    radius : float
        Of a ball as large as the head, in mm.
    """

    data: np.ndarray
    affine: np.ndarray
    grid_mm: float
    dark: float
    threshold: float
    bright: float
    typical: float
    centre: np.ndarray
    radius: float


@lru_cache
def icosphere(subdivisions):
    """Make a sphere out of triangles of nearly one size.

    Parameters
    ----------
    subdivisions : int
        How many times each of the 20 triangles of an icosahedron is cut in
        four; 4 gives 2562 points.

    Returns
    -------
    Mesh
    """
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b) for a in (-1, 1) for b in (-golden, golden)]
    points = np.array([np.roll(corner, turn) for corner in corners for turn in range(3)]) / np.hypot(1, golden)
    faces = ConvexHull(points).simplices
    inwards = np.einsum("fc,fc->f", _normals(points, faces), points[faces].mean(axis=1)) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    for _ in range(subdivisions):
        edges, which = np.unique(_sides(faces), axis=0, return_inverse=True)
        a, b, c = which.reshape(3, -1) + len(points)
        middles = points[edges].mean(axis=1)
        points = np.concatenate([points, middles / np.linalg.norm(middles, axis=1, keepdims=True)])
        first, second, third = faces.T
        corners = [(first, a, c), (second, b, a), (third, c, b), (a, b, c)]
        faces = np.concatenate([np.stack(corner, axis=1) for corner in corners])
    edges = np.unique(_sides(faces), axis=0)
    both = np.concatenate([edges, edges[:, ::-1]])
    share = 1 / np.bincount(both[:, 0])[both[:, 0]]
    neighbours = sparse.csr_array((share, tuple(both.T)), shape=(len(points),) * 2)
    which_face = np.repeat(np.arange(len(faces)), 3)
    around = sparse.csr_array((np.ones(faces.size), (faces.ravel(), which_face)), shape=(len(points), len(faces)))
    return Mesh(points, faces, edges, neighbours, around)


def blow_up(head, mesh, steps, fraction):
    """Blow a small ball up until its points come to rest.

    Parameters
    ----------
    head : Head
    mesh : Mesh
    steps : int
    fraction : float
        See :func:`strip_with_surface`.

    Returns
    -------
    ndarray, shape (f, 3, 3)
        Corners of each triangle, in mm from the first voxel.
    """
    points = head.centre + mesh.points * head.radius / 2
    for _ in range(steps):
        normal = mesh.sum_of_faces @ _normals(points, mesh.faces)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
        edge = np.linalg.norm(points[mesh.edges[:, 0]] - points[mesh.edges[:, 1]], axis=1).mean()
        to_neighbours = mesh.mean_of_neighbours @ points - points
        outwards = np.einsum("nc,nc->n", to_neighbours, normal)[:, None] * normal
        spread = 0.5 * (to_neighbours - outwards)
        smooth = _stiffness(2 * np.linalg.norm(outwards, axis=1) / edge**2)[:, None] * outwards
        push = _PUSH * edge * _brightness(head, points, normal, fraction)[:, None] * normal
        points = points + spread + smooth + push
    return points[mesh.faces]


def _stiffness(curvature):
    """How much of a bump is smoothed away: little of a gentle one, all of a sharp one; curvature in 1/mm."""
    gentle, sharp = 1 / _MAX_RADIUS_MM, 1 / _MIN_RADIUS_MM
    return (1 + np.tanh(6 / (sharp - gentle) * (curvature - (sharp + gentle) / 2))) / 2


def _brightness(head, points, normal, fraction):
    """Positive where the scan below a point is bright, negative where it meets something dark."""
    depth = np.arange(0, _DEPTH_MM + head.grid_mm / 2, head.grid_mm)
    below = (points[:, None] - normal[:, None] * depth[:, None]) / head.grid_mm
    index = np.clip(np.rint(below).astype(np.intp), 0, np.array(head.data.shape) - 1)
    found = head.data[tuple(np.moveaxis(index, -1, 0))]
    darkest = np.clip(found.min(axis=1), head.dark, head.typical)
    brightest = np.clip(found[:, depth <= _BRIGHT_DEPTH_MM].max(axis=1), head.threshold, head.typical)
    edge = head.dark + fraction * (brightest - head.dark)
    return 2 * (darkest - edge) / np.maximum(brightest - head.dark, 1e-6)


def fill_surface(triangles, head):
    """Mark the voxels inside a closed surface.

    Parameters
    ----------
    triangles : ndarray, shape (f, 3, 3)
    head : Head

    Returns
    -------
    ndarray of bool, shape (i, j, k)
    """
    longest = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2).max()
    parts = int(np.ceil(1.5 * longest / head.grid_mm)) + 1
    weights = np.array([(a, b, parts - a - b) for a in range(parts + 1) for b in range(parts + 1 - a)]) / parts
    index = np.rint(np.einsum("wk,fkc->fwc", weights, triangles) / head.grid_mm).astype(int).reshape(-1, 3)
    inside = np.zeros(head.data.shape, bool)
    inside[tuple(np.clip(index, 0, np.array(inside.shape) - 1).T)] = True
    return ndimage.binary_fill_holes(inside)


def _look_at(image):
    """Put a scan on cubic voxels, and guess where its head is and how large."""
    grid_mm = PARAMETERS["grid_mm"]
    small = resample_isotropic(image, grid_mm)
    data = np.asarray(small.dataobj)
    dark, threshold, bright = robust_range(np.asarray(image.dataobj, np.float32))
    radius = ((data > threshold).sum() * grid_mm**3 * 3 / (4 * np.pi)) ** (1 / 3)
    head = Head(data, small.affine, grid_mm, dark, threshold, bright, bright, np.zeros(3), float(radius))
    return _place(head, np.ones(data.shape, bool))


def _place(head, inside):
    """Move the middle to where most of the brightness inside a mask is."""
    weight = np.where(inside & (head.data > head.threshold), np.clip(head.data, head.dark, head.bright) - head.dark, 0)
    centre = np.array(ndimage.center_of_mass(weight)) * head.grid_mm
    axes = [(np.arange(n) * head.grid_mm - middle) ** 2 for n, middle in zip(head.data.shape, centre, strict=True)]
    near = axes[0][:, None, None] + axes[1][:, None] + axes[2] < head.radius**2
    usual = head.data[near & (head.data > head.dark) & (head.data < head.bright)]
    return replace(head, centre=centre, typical=float(np.median(usual)) if usual.size else head.bright)


def _normals(points, faces):
    """Find the normal of each triangle, as long as twice its area."""
    return np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])


def _sides(faces):
    """First, second and third side of every triangle: two points each, the lower number first."""
    return np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
