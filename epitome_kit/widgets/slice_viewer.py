"""The viewer that every notebook uses: slices, masks and maps of one subject."""

import html
import traceback

import numpy as np

from epitome_kit.extras import needs
from epitome_kit.plotting.slices import PLANES, display_windows, slice_view, stack_images
from epitome_kit.plotting.style import MASK_ROLES
from epitome_kit.widgets.image_widget import Picture, PngFallbackMixin
from epitome_kit.widgets.render import assemble, encode_jpeg, render_panel

with needs("lab"):
    import ipywidgets as ipw

_WIDE = {"description_width": "110px"}
_CONTROL = {"width": "400px", "max_width": "100%"}
_LONG_CONTROL = {**_CONTROL, "width": "480px"}
_WRAPPED = {"flex_flow": "row wrap"}
_NO_MAP = "none"


class SliceViewer(PngFallbackMixin, ipw.VBox):
    """Look through the slices of one subject, contrasts side by side.

    The mouse wheel over the picture and the arrow keys on it change the slice.
    Every control is a public attribute, so that a notebook can set it; the
    picture follows at once. An error in a callback is shown below the picture.

    Parameters
    ----------
    images : dict of str to image or path, or one of these
        Contrasts by name; all are brought onto the grid of the first, once.
    masks : dict of str to image or path, or one of these, optional
        Shown in colour on every contrast, the first on top, each with a tick box.
    maps : dict of str to image or path, or one of these, optional
        Such as what a network looked at; one at a time lies over the contrasts
        as heat, from zero (clear) over purple to yellow.
    plane : {"axial", "coronal", "sagittal"}, default="axial"
    window : {"robust", "shared"} or (float, float), default="robust"
        See :func:`~epitome_kit.plotting.slices.display_windows`.
    size : int, default=320
        Pixels of the longest side of the scan.

    Attributes
    ----------
    stack : Stack
        What is shown. After a change, call :meth:`redraw`.
    plane, index, play, window, opacity, map, map_opacity : widgets
        Plane, slice, a button that runs through the slices, black and white in
        percent of the robust range, opacity of the masks, which map lies on top
        and its opacity.
    ticks : dict of str to Checkbox
        Which masks are shown.
    picture, caption, errors : widgets
        What the viewer says.
    combine : callable
        Takes and returns the panels, a dict of str to RGB array.
    """

    def __init__(self, images, masks=None, maps=None, *, plane="axial", window="robust", size=320):
        self.combine = lambda panels: panels
        self._window, self._size = window, size
        self._take(images, masks, maps)
        self._make_controls(plane)
        self._offer_masks()
        self._offer_maps()
        rows = [self.plane, self.index, self.play], [self.window, self.opacity], [self.map, self.map_opacity]
        self.controls = ipw.VBox([*(ipw.HBox(row, layout=_WRAPPED) for row in rows), self._tick_row])
        super().__init__([self.picture, self.caption, self.controls, self.errors])
        self.redraw()
        self.watch(self.plane, self._turn)
        for control in (self.index, self.window, self.opacity, self.map, self.map_opacity):
            self.watch(control)
        ipw.link((self.index, "value"), (self.picture, "index"))
        ipw.link((self.play, "value"), (self.picture, "playing"))

    @property
    def view(self):
        """Layout of the plane that is shown."""
        return self._views[self.plane.value]

    def load(self, images, masks=None, maps=None):
        """Show another subject; nothing of the one before is kept but the settings."""
        self._take(images, masks, maps)
        self._offer_masks()
        self._turn()
        self._offer_maps()
        self.redraw()

    def watch(self, control, action=None):
        """Call `action()`, if given, and redraw whenever the value of a control changes."""
        self.respond(control, lambda: (action and action(), self.redraw()))

    def respond(self, control, action, trait="value"):
        """Call `action()` whenever the value of a control changes; its errors are raised and shown."""

        def answer(change):
            try:
                action()
            except Exception as error:
                self.errors.outputs = (_as_output(error),)
                raise
            self.errors.outputs = ()

        control.observe(answer, trait)

    def add_slider(self, description, value, low, high, step, *, tip, readout=".4g", action=None):
        """Place a slider of numbers below the other controls, :meth:`watch` it and return it."""
        slider = ipw.FloatSlider(
            value,
            min=low,
            max=high,
            step=step,
            readout_format=readout,
            description=description,
            tooltip=tip,
            style=_WIDE,
            layout=_LONG_CONTROL,
        )
        self.controls.children = (*self.controls.children, slider)
        self.watch(slider, action)
        return slider

    def add_readout(self):
        """Place an empty line of text below the controls, and return it."""
        line = ipw.Label()
        self.controls.children = (*self.controls.children, line)
        return line

    def add_list(self, description, options, action, *, tip, rows=1, beside=None):
        """Place a list to choose from above the picture, call `action()` on a choice, and return the list.

        `beside` is a widget that stands on the left of the list.
        """
        kind, extra = (ipw.Dropdown, {}) if rows == 1 else (ipw.Select, {"rows": rows})
        choice = kind(options=options, description=description, tooltip=tip, style=_WIDE, layout=_LONG_CONTROL, **extra)
        self.children = (ipw.HBox([choice] if beside is None else [beside, choice]), *self.children)
        self.respond(choice, action)
        return choice

    def redraw(self):
        """Draw the slice that the controls ask for."""
        view, index = self.view, self.index.value
        low, high = (part / 100 for part in self.window.value)
        colours = self._colours()
        overlays = [
            (view.cut(mask, index), colours[name])
            for name, mask in reversed(self.stack.masks.items())
            if self.ticks[name].value
        ]
        size = tuple(max(1, round(length * self._scale)) for length in view.size)
        heat = self._heat(view, index)
        panels = {}
        for name, volume in self.stack.volumes.items():
            black, white = self._windows[name]
            shown = black + low * (white - black), black + max(high, low + 0.01) * (white - black)
            panels[name] = render_panel(
                view.cut(volume, index), shown, overlays, size=size, opacity=self.opacity.value, heat=heat
            )
        said = view.describe(index) + (
            f"; {self.map.value}: yellow is {self._tops[self.map.value]:.3g}" if heat else ""
        )
        with self.picture.hold_sync():
            self.picture.value = encode_jpeg(assemble(self.combine(panels), view.letters))
            self.picture.text = said
        self.caption.value = said
        self._visited[view.plane] = index

    def _take(self, images, masks, maps):
        self.stack = stack_images(images, masks, maps, where="slice_viewer")
        self._views = {name: slice_view(self.stack.grid, name) for name in PLANES}
        self._windows = display_windows(self.stack.volumes, self._window)
        self._tops = {name: _top(values) for name, values in self.stack.maps.items()}
        self._scale = self._size / max(max(view.size) for view in self._views.values())
        self._visited = {name: self.stack.busiest(view) for name, view in self._views.items()}

    def _heat(self, view, index):
        """Strength and opacity of the chosen map in a slice."""
        if self.map.value not in self.stack.maps:
            return None
        return view.cut(self.stack.maps[self.map.value], index) / self._tops[self.map.value], self.map_opacity.value

    def _make_controls(self, plane):
        view = self._views[plane]
        last = view.count - 1
        self.plane = ipw.ToggleButtons(
            options=PLANES,
            value=plane,
            description="Plane",
            tooltip="Plane of the slice",
            style={**_WIDE, "button_width": "85px"},
            layout=_CONTROL,
        )
        self.index = _slider(
            ipw.IntSlider,
            "Slice",
            "Slice of the plane; also the wheel over the picture",
            value=self._visited[plane],
            max=last,
        )
        self.play = ipw.ToggleButton(
            description="Play", icon="play", tooltip="Run through the slices", layout={"width": "90px"}
        )
        self.window = _slider(
            ipw.FloatRangeSlider,
            "Window (%)",
            "What is shown as black and as white, in percent of the robust range",
            value=(0, 100),
            min=-20,
            max=150,
            step=1,
            readout_format=".0f",
        )
        share = {"min": 0, "max": 1, "step": 0.05}
        self.opacity = _slider(ipw.FloatSlider, "Mask opacity", "How much masks hide of the scan", value=0.25, **share)
        self.map = ipw.Dropdown(description="Heat map", tooltip="Map that lies over the scans", style=_WIDE)
        self.map_opacity = _slider(ipw.FloatSlider, "Map opacity", "How much the map hides", value=0.6, **share)
        self.ticks, self._tick_row = {}, ipw.HBox(layout=_WRAPPED)
        self.picture = Picture(
            label="Slices of the scan", last=last, layout={"max_width": "100%", "align_self": "flex-start"}
        )
        self.caption, self.errors = ipw.Label(), ipw.Output()

    def _offer_maps(self):
        """Offer the maps of this subject: the one chosen before, else the first."""
        options, before, chosen = (_NO_MAP, *self.stack.maps), self.map.value, len(self.map.options) > 1
        self.map.options = options
        self.map.value = before if chosen and before in options else options[bool(self.stack.maps)]
        for control in (self.map, self.map_opacity):
            control.layout.display = None if self.stack.maps else "none"

    def _offer_masks(self):
        """Give each mask of this subject a tick box; one that was there before keeps its tick."""
        before = {name: tick.value for name, tick in self.ticks.items()}
        self.ticks = {
            name: ipw.Checkbox(
                before.get(name, True),
                description=f"<span style='color:{colour}'>&#9632;</span> {html.escape(name)}",
                tooltip=f"Show the mask: {name}",
                indent=False,
                description_allow_html=True,
                layout={"width": "auto", "margin": "0 14px 0 0"},
            )
            for name, colour in self._colours().items()
        }
        for tick in self.ticks.values():
            self.watch(tick)
        self._tick_row.children = tuple(self.ticks.values())
        self.opacity.layout.display = None if self.ticks else "none"

    def _colours(self) -> dict[str, str]:
        return {name: MASK_ROLES[role].colour for name, role in self.stack.roles.items()}

    def _turn(self):
        """Go to the slice of the plane that was seen last."""
        index, last = self._visited[self.plane.value], self.view.count - 1
        with self.index.hold_trait_notifications():
            self.index.max = self.picture.last = last
            self.index.value = index


def _slider(kind, description, tip, **options):
    return kind(description=description, tooltip=tip, style=_WIDE, layout=_CONTROL, **options)


def _top(values):
    """Value of a map that is shown as yellow: nearly the largest."""
    top = float(np.nanpercentile(values, 99.9))
    return top if top > 0 else 1.0


def _as_output(error):
    """Turn an exception into a notebook output, which readers and the strict runner see."""
    lines = traceback.format_exception(error)
    return {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}
