"""One step of the slice slider: the viewer compared with matplotlib under `ipywidgets.interact`, in one run.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/widgets.py --steps 60

Both show the same slices of 256 x 256 with the same mask as an encoded image of about
as many pixels: JPEG by the kit, PNG by matplotlib. The target is at most 25 ms per
step, and a third of the time of the peer.
"""

import io
from collections.abc import Callable
from contextlib import redirect_stdout

import matplotlib.pyplot as plt
import numpy as np
import typer
from bench import record, timed
from ipywidgets import IntSlider, interactive
from matplotlib.colors import ListedColormap
from nibabel import Nifti1Image
from scipy import ndimage

from epitome_kit.plotting.slices import display_windows, slice_view
from epitome_kit.widgets.slice_viewer import SliceViewer

SIDE, DEPTH, DPI = 256, 40, 80

Slider = tuple[IntSlider, Callable[[], bytes]]
"""A slider, and a function that returns the current image as bytes."""


def head_and_mask() -> tuple[Nifti1Image, Nifti1Image]:
    """Make a ball with smooth noise, and the mask of a smaller ball in it."""
    places = np.moveaxis(np.indices((SIDE, SIDE, DEPTH)), 0, -1) - np.array([SIDE, SIDE, DEPTH]) / 2
    distance = np.linalg.norm(places * (1, 1, 4), axis=-1)
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(distance.shape), 1)
    scan = np.where(distance < 110, 100 + 200 * noise, 0).astype(np.float32)
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    return Nifti1Image(scan, affine), Nifti1Image((distance < 50).astype(np.uint8), affine)


def kit(scan: Nifti1Image, mask: Nifti1Image) -> Slider:
    """Make the slider of the kit."""
    viewer = SliceViewer({"scan": scan}, {"mask": mask}, size=SIDE)
    return viewer.index, lambda: viewer.picture.value


def peer(scan: Nifti1Image, mask: Nifti1Image) -> Slider:
    """Make a slider of `interact` for a figure of matplotlib as PNG."""
    view, sent = slice_view(scan), list[bytes]()
    volume, inside = scan.get_fdata(dtype=np.float32), np.asarray(mask.dataobj) > 0
    low, high = display_windows({"scan": volume})["scan"]

    def show(index: int) -> None:
        figure, axes = plt.subplots(figsize=(SIDE / DPI, SIDE / DPI), dpi=DPI)
        axes.imshow(view.cut(volume, index), cmap="gray", vmin=low, vmax=high)
        cut = view.cut(inside, index)
        axes.imshow(np.ma.masked_where(~cut, cut), cmap=ListedColormap(["#E69F00"]), alpha=0.25)
        axes.set_axis_off()
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
        plt.close(figure)
        sent[:] = [stream.getvalue()]

    slider = IntSlider(DEPTH // 2, 0, DEPTH - 1)
    interactive(show, index=slider)
    return slider, lambda: sent[0]


def step(slider: IntSlider, sent: Callable[[], bytes], index: int) -> float:
    """Move a slider; return the milliseconds until the image has changed."""
    before = sent()
    seconds = timed(setattr, slider, "value", index)[1]
    if sent() == before:
        raise RuntimeError("the image did not change")
    return 1000 * seconds


def main(steps: int = 40) -> None:
    """Move both sliders in turn, through the same slices."""
    images, places = head_and_mask(), [5 + place % (DEPTH - 10) for place in range(steps)]
    with redirect_stdout(io.StringIO()):  # `interact` clears its output with control characters
        shown = kit(*images), peer(*images)
        times = [[step(*each, index) for each in shown] for index in places]
    ours, theirs = np.median(times[1:], axis=0)
    record(
        f"viewer, slice of {SIDE} x {SIDE} with a mask, n = {steps}: time per step of the slider",
        f"{ours:.0f} ms",
        f"matplotlib under interact: {theirs:.0f} ms",
        theirs / ours,
    )


if __name__ == "__main__":
    plt.switch_backend("agg")
    typer.run(main)
