"""Widgets for notebooks: look through slices, wipe between two scans."""

import html
import traceback

import ipywidgets as ipw
import numpy as np

from epitome_kit.teach.render import assemble, encode_png, render_panel
from epitome_kit.teach.slices import PLANES, display_windows, slice_view, stack_images
from epitome_kit.teach.style import mask_colours

_WIDE = {"description_width": "90px"}


class SliceViewer(ipw.VBox):
    """Look through the slices of one subject, contrasts side by side.

    Every control is a public attribute, so that a notebook can set it; the
    picture follows at once. An error in a callback is shown below the picture.

    Parameters
    ----------
    images : dict of str to image or path, or one of these
        Contrasts by name; all are brought onto the grid of the first, once.
    masks : dict of str to image or path, or one of these, optional
        Shown in colour on every contrast, the first on top, each with a tick box.
    plane : {"axial", "coronal", "sagittal"}, default="axial"
    window : {"robust", "shared"} or (float, float), default="robust"
        See :func:`~epitome_kit.teach.slices.display_windows`.
    size : int, default=320
        Pixels of the longest side of the scan.
    combine : callable, optional
        Takes and returns the panels, a dict of str to RGB array.

    Attributes
    ----------
    stack : Stack
        What is shown. After a change, call :meth:`redraw`.
    plane, index, window, opacity : widgets
        Plane, slice, black and white in percent of the robust range, and
        opacity of the masks.
    ticks : dict of str to Checkbox
        Which masks are shown.
    picture, caption, errors : widgets
        What the viewer says.
    """

    def __init__(self, images, masks=None, *, plane="axial", window="robust", size=320, combine=None):
        self.stack = stack_images(images, masks, where="slice_viewer")
        self._views = {name: slice_view(self.stack.grid, name) for name in PLANES}
        self._windows = display_windows(self.stack.volumes, window)
        self._combine = combine or (lambda panels: panels)
        self._scale = size / max(max(view.size) for view in self._views.values())
        self._visited = {name: self.stack.busiest(view) for name, view in self._views.items()}
        self._make_controls(plane)
        self.controls = ipw.VBox(
            [
                ipw.HBox([self.plane, self.index]),
                ipw.HBox([self.window, self.opacity] if self.ticks else [self.window]),
                ipw.HBox(list(self.ticks.values())),
            ]
        )
        super().__init__([self.picture, self.caption, self.controls, self.errors])
        self.redraw()
        self.watch(self.plane, self._turn)
        for control in (self.index, self.window, self.opacity, *self.ticks.values()):
            self.watch(control)

    @property
    def view(self):
        """Layout of the plane that is shown."""
        return self._views[self.plane.value]

    def watch(self, control, action=None):
        """Call `action()`, if given, and redraw whenever the value of a control changes."""

        def respond(change):
            try:
                if action is not None:
                    action()
                self.redraw()
            except Exception as error:
                self.errors.outputs = (_as_output(error),)
                raise
            self.errors.outputs = ()

        control.observe(respond, "value")

    def add_control(self, control, action=None):
        """Place one more control below the others, and :meth:`watch` it."""
        self.controls.children = (*self.controls.children, control)
        self.watch(control, action)

    def add_slider(self, description, value, low, high, step, *, readout=".4g", action=None):
        """Make a slider of numbers, :meth:`add_control` it and return it."""
        slider = ipw.FloatSlider(
            value,
            min=low,
            max=high,
            step=step,
            readout_format=readout,
            description=description,
            style=_WIDE,
            layout={"width": "480px"},
        )
        self.add_control(slider, action)
        return slider

    def add_readout(self):
        """Place an empty line of text below the controls, and return it."""
        line = ipw.Label()
        self.controls.children = (*self.controls.children, line)
        return line

    def redraw(self):
        """Draw the slice that the controls ask for."""
        view, index = self.view, self.index.value
        low, high = (part / 100 for part in self.window.value)
        colours = mask_colours(self.stack.masks)
        overlays = [
            (view.cut(mask, index), colours[name])
            for name, mask in reversed(self.stack.masks.items())
            if self.ticks[name].value
        ]
        size = tuple(max(1, round(length * self._scale)) for length in view.size)
        panels = {}
        for name, volume in self.stack.volumes.items():
            black, white = self._windows[name]
            shown = black + low * (white - black), black + max(high, low + 0.01) * (white - black)
            panels[name] = render_panel(view.cut(volume, index), shown, overlays, size=size, opacity=self.opacity.value)
        self.picture.value = encode_png(assemble(self._combine(panels), view.letters))
        self.caption.value = view.describe(index)
        self._visited[view.plane] = index

    def _make_controls(self, plane):
        view = self._views[plane]
        self.plane = ipw.ToggleButtons(options=PLANES, value=plane, style={"button_width": "80px"})
        self.index = ipw.IntSlider(
            self._visited[plane], 0, view.count - 1, description="Slice", style=_WIDE, layout={"width": "380px"}
        )
        self.window = ipw.FloatRangeSlider(
            value=(0, 100),
            min=-20,
            max=150,
            step=1,
            readout_format=".0f",
            description="Window (%)",
            style=_WIDE,
            layout={"width": "380px"},
        )
        self.opacity = ipw.FloatSlider(0.25, min=0, max=1, step=0.05, description="Mask opacity", style=_WIDE)
        self.ticks = {
            name: ipw.Checkbox(
                True,
                description=f"<span style='color:{colour}'>&#9632;</span> {html.escape(name)}",
                indent=False,
                description_allow_html=True,
                layout={"width": "auto", "margin": "0 14px 0 0"},
            )
            for name, colour in mask_colours(self.stack.masks).items()
        }
        self.picture = ipw.Image(format="png", layout={"max_width": "100%", "align_self": "flex-start"})
        self.caption, self.errors = ipw.Label(), ipw.Output()

    def _turn(self):
        """Go to the slice of the new plane that was seen last."""
        index = self._visited[self.plane.value]
        with self.index.hold_trait_notifications():
            self.index.max = self.view.count - 1
            self.index.value = index


def before_after_wipe(before, after, masks=None, *, labels=("before", "after"), window="shared"):
    """Slide a line over a scan: one step's input on its left, the output on its right.

    Parameters
    ----------
    before, after : image or path
        `after` is brought onto the grid of `before`.
    masks : dict of str to image or path, or one of these, optional
    labels : (str, str), default=("before", "after")
    window : {"shared", "robust"} or (float, float), default="shared"
        ``"robust"`` where the two have no common scale of intensity.

    Returns
    -------
    SliceViewer
        With one more attribute: ``wipe`` (slider, 0 to 1).
    """
    wipe = ipw.FloatSlider(0.5, min=0, max=1, step=0.01, description="Wipe", style=_WIDE, layout={"width": "480px"})

    def combine(panels):
        first, second = panels.values()
        border = round(wipe.value * first.shape[1])
        picture = np.concatenate([first[:, :border], second[:, border:]], axis=1)
        picture[:, max(border - 1, 0) : border + 1] = 255
        return {f"{labels[0]} | {labels[1]}": picture}

    images = dict(zip(labels, (before, after), strict=True))
    viewer = SliceViewer(images, masks, window=window, size=400, combine=combine)
    viewer.wipe = wipe
    viewer.add_control(wipe)
    return viewer


def _as_output(error):
    """Turn an exception into a notebook output, which readers and the strict runner see."""
    lines = traceback.format_exception(error)
    return {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}
