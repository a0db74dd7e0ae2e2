"""Render self-contained HTML pages: template, style sheet and icon in one file."""

import base64
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader
from PIL import Image

from epitome_kit.confidence import interval_label
from epitome_kit.files import Json, PathLike, write_text

TEMPLATES = Path(__file__).parent / "templates"


def write_page(path: PathLike, template: str, **values: object) -> None:
    """Render a template and write the page.

    Parameters
    ----------
    path : path
        File to write.
    template : str
        File name in the folder of templates.
    **values
        Variables of the template, in addition to ``css``, ``icon`` and
        :func:`~epitome_kit.confidence.interval_label`.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    write_text(path, render_page(template, **values))


def render_page(template: str, **values: object) -> str:
    """Render a template and return the HTML; see :func:`write_page`."""
    environment = Environment(loader=PackageLoader("epitome_kit.report"), autoescape=True, trim_blocks=True)
    environment.globals.update(interval_label=interval_label)
    css, icon = ((TEMPLATES / name).read_text(encoding="utf-8").strip() for name in ("style.css", "icon.svg"))
    return environment.get_template(template).render(css=css, icon=icon, **values)


def embed_picture(path: PathLike) -> Json:
    """Read a figure as a WebP data URL, with the alternative text saved in it.

    Parameters
    ----------
    path : path
        A PNG written by :func:`epitome_kit.plotting.save_figure`.

    Returns
    -------
    dict
        ``data``, the URL; ``text``; ``width`` and ``height`` in pixels.
    """
    with Image.open(path) as image:
        stream = io.BytesIO()
        image.convert("RGB").save(stream, format="webp", quality=80)
        data = base64.b64encode(stream.getvalue()).decode()
        return {
            "data": f"data:image/webp;base64,{data}",
            "text": image.info["Description"],
            "width": image.width,
            "height": image.height,
        }
