"""Show the slices, masks and maps of one subject in a notebook."""

import html
import traceback
from collections.abc import Callable, Iterable

import numpy as np

from epitome_kit.extras import needs
from epitome_kit.plotting.slices import (
    PLANES,
    ImagesLike,
    MasksLike,
    SliceView,
    Window,
    display_windows,
    slice_view,
    stack_images,
)
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
    """View the slices of one subject, contrasts side by side.

    The mouse wheel and the arrow keys change the slice. Every control is a
    public attribute that a notebook can set; the picture is redrawn at once. An
    error in a callback is shown below the picture.

    Parameters
    ----------
    images : dict of str to image or path, or one of these
        Contrasts by name; all are brought onto the grid of the first.
    masks : dict of str to image or path, or one of these, optional
        Shown in colour on every contrast, the first on top, each with a check box.
    maps : dict of str to image or path, or one of these, optional
        Maps such as the attention of a network; one at a time is laid over the
        contrasts as heat, from zero (clear) over purple to yellow.
    plane : {"axial", "coronal", "sagittal"}, default="axial"
    window : {"robust", "shared"} or (float, float), default="robust"
        See :func:`~epitome_kit.plotting.slices.display_windows`.
    size : int, default=320
        Pixels of the longest side of the scan.

    Attributes
    ----------
    stack : Stack
        Arrays that are shown. After a change, call :meth:`redraw`.
    plane, index, play, window, opacity, map, map_opacity : widgets
        Plane, slice, a button that plays the slices, black and white in percent
        of the robust range, opacity of the masks, the map on top and its
        opacity.
    ticks : dict of str to Checkbox
        Whether each mask is shown.
    picture, caption, errors : widgets
        Picture, position of the slice, and errors of callbacks.
    combine : callable
        Takes and returns the panels, a dict of str to RGB array.
    """

    children: tuple[ipw.Widget, ...]

    def __init__(
        self,
        images: ImagesLike,
        masks: MasksLike | None = None,
        maps: ImagesLike | None = None,
        *,
        plane: str = "axial",
        window: Window = "robust",
        size: int = 320,
    ) -> None:
        self.combine: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = lambda panels: panels
        self._window, self._size = window, size
        self._set_images(images, masks, maps)
        self._make_controls(plane)
        self._update_masks()
        self._update_maps()
        rows = [self.plane, self.index, self.play], [self.window, self.opacity], [self.map, self.map_opacity]
        self.controls = ipw.VBox([*(ipw.HBox(row, layout=_WRAPPED) for row in rows), self._tick_row])
        super().__init__([self.picture, self.caption, self.controls, self.errors])
        self.redraw()
        self.watch(self.plane, self._change_plane)
        for control in (self.index, self.window, self.opacity, self.map, self.map_opacity):
            self.watch(control)
        ipw.link((self.index, "value"), (self.picture, "index"))
        ipw.link((self.play, "value"), (self.picture, "playing"))

    @property
    def view(self) -> SliceView:
        """Layout of the current plane."""
        return self._views[self.plane.value]

    def load(self, images: ImagesLike, masks: MasksLike | None = None, maps: ImagesLike | None = None) -> None:
        """Show another subject with the same settings."""
        self._set_images(images, masks, maps)
        self._update_masks()
        self._change_plane()
        self._update_maps()
        self.redraw()

    def watch(self, control: ipw.Widget, action: Callable[[], object] | None = None) -> None:
        """Call `action()`, if given, and redraw whenever the value of a control changes."""

        def update() -> None:
            if action is not None:
                action()
            self.redraw()

        self.respond(control, update)

    def respond(self, control: ipw.Widget, action: Callable[[], object], trait: str = "value") -> None:
        """Call `action()` whenever the value of a control changes; its errors are shown and raised."""

        def call(change: object) -> None:
            try:
                action()
            except Exception as error:
                self.errors.outputs = (_as_output(error),)
                raise
            self.errors.outputs = ()

        control.observe(call, trait)

    def add_slider(
        self,
        description: str,
        value: float,
        low: float,
        high: float,
        step: float,
        *,
        tip: str,
        readout: str = ".4g",
        action: Callable[[], object] | None = None,
    ) -> ipw.FloatSlider:
        """Add a slider below the other controls, :meth:`watch` it and return it."""
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

    def add_readout(self) -> ipw.Label:
        """Add an empty line of text below the controls, and return it."""
        line = ipw.Label()
        self.controls.children = (*self.controls.children, line)
        return line

    def add_list(
        self,
        description: str,
        options: Iterable[object],
        action: Callable[[], object],
        *,
        tip: str,
        rows: int = 1,
        beside: ipw.Widget | None = None,
    ) -> ipw.Dropdown | ipw.Select:
        """Add a list above the picture, call `action()` on each selection, and return the list.

        `beside` is a widget to the left of the list.
        """
        kind, extra = (ipw.Dropdown, {}) if rows == 1 else (ipw.Select, {"rows": rows})
        choice = kind(options=options, description=description, tooltip=tip, style=_WIDE, layout=_LONG_CONTROL, **extra)
        self.children = (ipw.HBox([choice] if beside is None else [beside, choice]), *self.children)
        self.respond(choice, action)
        return choice

    def redraw(self) -> None:
        """Draw the slice that the controls select."""
        view, index = self.view, self.index.value
        low, high = (part / 100 for part in self.window.value)
        colours = self._colours()
        overlays = [
            (view.cut(mask, index), colours[name])
            for name, mask in reversed(self.stack.masks.items())
            if self.ticks[name].value
        ]
        height, width = (max(1, round(length * self._scale)) for length in view.size)
        heat = self._heat(view, index)
        panels = {}
        for name, volume in self.stack.volumes.items():
            black, white = self._windows[name]
            shown = black + low * (white - black), black + max(high, low + 0.01) * (white - black)
            panels[name] = render_panel(
                view.cut(volume, index), shown, overlays, size=(height, width), opacity=self.opacity.value, heat=heat
            )
        caption = view.describe(index) + (
            f"; {self.map.value}: yellow is {self._tops[self.map.value]:.3g}" if heat else ""
        )
        with self.picture.hold_sync():
            self.picture.value = encode_jpeg(assemble(self.combine(panels), view.letters))
            self.picture.text = caption
        self.caption.value = caption
        self._visited[view.plane] = index

    def _set_images(self, images: ImagesLike, masks: MasksLike | None, maps: ImagesLike | None) -> None:
        self.stack = stack_images(images, masks, maps, where="slice_viewer")
        self._views = {name: slice_view(self.stack.grid, name) for name in PLANES}
        self._windows = display_windows(self.stack.volumes, self._window)
        self._tops = {name: _display_maximum(values) for name, values in self.stack.maps.items()}
        self._scale = self._size / max(max(view.size) for view in self._views.values())
        self._visited = {name: self.stack.busiest(view) for name, view in self._views.items()}

    def _heat(self, view: SliceView, index: int) -> tuple[np.ndarray, float] | None:
        """Return the strength and opacity of the selected map in a slice."""
        if self.map.value not in self.stack.maps:
            return None
        return view.cut(self.stack.maps[self.map.value], index) / self._tops[self.map.value], self.map_opacity.value

    def _make_controls(self, plane: str) -> None:
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
            "Slice of the plane; the mouse wheel over the picture changes it, too",
            value=self._visited[plane],
            max=last,
        )
        self.play = ipw.ToggleButton(
            description="Play", icon="play", tooltip="Play the slices", layout={"width": "90px"}
        )
        self.window = _slider(
            ipw.FloatRangeSlider,
            "Window (%)",
            "Intensities shown as black and as white, in percent of the robust range",
            value=(0, 100),
            min=-20,
            max=150,
            step=1,
            readout_format=".0f",
        )
        share = {"min": 0, "max": 1, "step": 0.05}
        self.opacity = _slider(ipw.FloatSlider, "Mask opacity", "Opacity of the masks", value=0.25, **share)
        self.map = ipw.Dropdown(description="Heat map", tooltip="Map laid over the scans", style=_WIDE)
        self.map_opacity = _slider(ipw.FloatSlider, "Map opacity", "Opacity of the map", value=0.6, **share)
        self.ticks: dict[str, ipw.Checkbox] = {}
        self._tick_row = ipw.HBox(layout=_WRAPPED)
        self.picture = Picture(
            label="Slices of the scan", last=last, layout={"max_width": "100%", "align_self": "flex-start"}
        )
        self.caption, self.errors = ipw.Label(), ipw.Output()

    def _update_maps(self) -> None:
        """List the maps of this subject, and select the one selected before, else the first."""
        options, before, had_maps = (_NO_MAP, *self.stack.maps), self.map.value, len(self.map.options) > 1
        self.map.options = options
        self.map.value = before if had_maps and before in options else options[bool(self.stack.maps)]
        for control in (self.map, self.map_opacity):
            control.layout.display = None if self.stack.maps else "none"

    def _update_masks(self) -> None:
        """Make a check box for each mask of this subject; boxes of the same name keep their state."""
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

    def _change_plane(self) -> None:
        """Go to the slice of the plane that was shown last."""
        index, last = self._visited[self.plane.value], self.view.count - 1
        with self.index.hold_trait_notifications():
            self.index.max = self.picture.last = last
            self.index.value = index


def _slider(kind: type[ipw.Widget], description: str, tip: str, **options: object) -> ipw.Widget:
    return kind(description=description, tooltip=tip, style=_WIDE, layout=_CONTROL, **options)


def _display_maximum(values: np.ndarray) -> float:
    """Return the value of a map that is shown as yellow, a high percentile."""
    top = float(np.nanpercentile(values, 99.9))
    return top if top > 0 else 1.0


def _as_output(error: Exception) -> dict[str, object]:
    """Return an exception as a notebook output, which readers and :mod:`epitome_kit.run` see."""
    lines = traceback.format_exception(error)
    return {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}
