"""Build the book: `python book/build.py WORKSPACE [OUT]` makes a static site of the notebooks that were executed there.

The sources are staged first, in the layout of the repository, so that its own links hold: README.md opens the book, and
whatever a page links comes along.
"""

import base64
import inspect
import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
from sphinx.cmd.build import build_main

import epitome_kit
from epitome_kit import errors, plotting, teach, widgets
from epitome_kit.errors import EpitomeError, ParameterError
from epitome_kit.files import read_json
from epitome_kit.workspace import executed_notebooks

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "data/README.md",
    "docs/architecture.md",
    "benchmarks/results.md",
    "benchmarks/coverage.md",
    "benchmarks/selection.md",
)
LINK = re.compile(r"\]\(([^)#:\s]+)[^):\s]*\)")
TABLE = "```{{eval-rst}}\n.. autosummary::\n   :toctree: api\n   :nosignatures:\n\n{}\n```"
PROGRESS = "Output()"
WIDGET = "application/vnd.jupyter.widget-view+json"
VALUES = (
    *("cohort.Cohort", "cohort.Subject", "profiles.Profile", "preprocess.pipeline.Preprocessed"),
    *("tumour.size.TumourSize", "tumour.size.VoxelCount", "epitome.model.LearnedEpitome"),
)
"""What functions return, where it is more than an image or a table."""
STEPS = {
    "Cohorts": ("cohort", "simulate", "sources", "audit"),
    "Preprocessing": ("images", "preprocess"),
    "Grading": ("learn", "grade", "report"),
    "The tumour": ("tumour", "epitome"),
    "Runs": ("profiles", "manifest", "run"),
}
"""Headings of the reference, and the subpackages and modules whose functions stand below each."""
SLIDER = "*In JupyterLab there are sliders here:* `make lab`."
FOLDED = {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}


def build_book(workspace, out):
    """Build the site and return the path of its first page; a warning of Sphinx is an error."""
    workspace, out = Path(workspace), Path(out).absolute()
    done = [notebook for notebook in executed_notebooks(workspace) if notebook["status"] == "done"]
    if not done:
        raise ParameterError(
            "book",
            "a workspace with executed notebooks",
            f"{workspace}, which has none",
            "run `make run` first, or name a workspace with `make book WORKSPACE=runs/NAME`",
        )
    source = out.with_name(f"{out.name}_source")
    shutil.rmtree(source, ignore_errors=True)
    stage_pages(source)
    terms = glossary_terms()
    references = {}
    for notebook in done:
        content = nbformat.read(notebook["path"], as_version=4)
        references |= dict.fromkeys(find_references(content))
        stage_notebook(content, source / "notebooks" / f"{notebook['name']}.ipynb", terms=terms, workspace=workspace)
    with open(source / "book" / "api.md", "a", encoding="utf-8") as page:
        page.writelines(api_tables())
    write_references(references, source / "book" / "references.md")
    (source / "book" / "run.md").write_text(describe_run(workspace, done), encoding="utf-8")
    options = ["-b", "html", "-W", "--keep-going", "-q", "-c", str(BOOK), "-d", str(source / ".doctrees")]
    if build_main([*options, str(source), str(out)]):
        raise ParameterError("book", "pages without a warning", "those above", "mend them, and build again")
    return out / "index.html"


def stage_pages(source):
    """Copy the pages of the repository, and the files that they link."""
    copies = {Path(name) for name in PAGES} | {page.relative_to(ROOT) for page in BOOK.glob("*.md")}
    for page in list(copies):
        linked = (ROOT / page.parent / name for name in LINK.findall((ROOT / page).read_text(encoding="utf-8")))
        copies |= {path.resolve().relative_to(ROOT) for path in linked if path.is_file()}
    for page in copies:
        target = source / ("index.md" if page == Path("book/index.md") else page)
        target.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            target.write_text(link_dois(link_only((ROOT / page).read_text(encoding="utf-8"))), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / page, target)


def stage_notebook(notebook, path, *, terms, workspace):
    """Prepare an executed notebook: pictures as files with their text alternatives, solutions folded, terms linked."""
    notebook.metadata.pop("widgets", None)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", ())]
    pictures = path.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source = link_terms(link_dois(link_only(cell.source)), terms)
            continue
        if "solution" in cell.metadata.get("tags", ()):
            cell.metadata = {"tags": [*cell.metadata.tags, "hide-input"], "mystnb": FOLDED}
        outputs = [
            stage_output(output, pictures / f"{path.stem}_{number}_{k}") for k, output in enumerate(cell.outputs)
        ]
        cell.outputs = list(filter(None, outputs))
    text = nbformat.writes(notebook)
    for folder in {str(workspace.absolute()), str(workspace.resolve())}:
        text = text.replace(json.dumps(folder)[1:-1], "runs/latest")
    path.write_text(text, encoding="utf-8")


def api_tables():
    """List every public name: the functions of the package by step, those of the subpackages, values and errors."""
    rooms = {verb: getattr(epitome_kit, verb).__module__.split(".")[1] for verb in epitome_kit.__all__[1:]}
    groups = {
        heading: [f"epitome_kit.{verb}" for verb, room in rooms.items() if room in homes]
        for heading, homes in STEPS.items()
    }
    for package in (plotting, widgets, teach):
        heading = package.__name__.removeprefix("epitome_kit.").capitalize()
        groups[heading] = [f"{package.__name__}.{name}" for name in package.__all__]
    groups["Values that come back"] = [f"epitome_kit.{name}" for name in VALUES]
    raised = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, Exception)]
    groups["Errors"] = [f"epitome_kit.errors.{each.__name__}" for each in raised]
    for heading, names in groups.items():
        listed = "\n".join(f"   ~{name}" for name in names)
        yield f"\n## {heading}\n\n{TABLE.format(listed)}\n"


def stage_output(output, picture):
    """Replace a picture by a described file, a widget by a word on where it lives, and progress by nothing."""
    data = output.get("data", {})
    if output.output_type == "error" or output.get("name") == "stderr":
        return None
    kind = next((kind for kind in ("image/png", "image/jpeg") if kind in data), None)
    if kind:
        path = picture.with_suffix(kind.replace("image/", "."))
        path.write_bytes(base64.b64decode(data[kind]))
        alt = output.metadata.get(kind, {}).get("alt") or "Figure of the cell above"
        return markdown_output(f"![{re.sub(r'[][<>]', '', alt)}](pictures/{path.name})")
    if WIDGET in data:
        return None if data.get("text/plain") == PROGRESS else markdown_output(SLIDER)
    return output


def markdown_output(text):
    """Make an output of a cell that the book reads as Markdown."""
    return nbformat.v4.new_output("display_data", data={"text/markdown": text})


def link_only(text):
    """Turn pictures that lie elsewhere, such as badges, into their words: the book loads nothing from the network."""
    return re.sub(r"!\[([^\]]*)\]\(https?://[^)]*\)", r"\1", text)


def link_dois(text):
    """Turn each DOI into a link."""
    return re.sub(r"\bdoi:(10\.\S+[^\s.,;)])", r"[doi:\1](https://doi.org/\1)", text)


def glossary_terms():
    """Read the terms of the glossary: each stands at the start of a line within its directive."""
    body = (BOOK / "glossary.md").read_text(encoding="utf-8").partition("```{glossary}\n")[2].partition("\n```")[0]
    return [line for line in body.splitlines() if line and not line.startswith(" ")]


def link_terms(text, terms):
    """Link each word in bold that the glossary explains."""
    known = {term.lower(): term for term in terms}

    def link(found):
        term = known.get(found[1].lower())
        return f"**{{term}}`{found[1]} <{term}>`**" if term else found[0]

    return re.sub(r"\*\*([^*\n]+)\*\*", link, text)


def find_references(notebook):
    """Find the references of a notebook: the lines with a DOI in its last cell."""
    return re.findall(r"^- (.*\bdoi:10\..*)$", notebook.cells[-1].source, re.MULTILINE)


def write_references(lines, path):
    """Write one page of all references, in order of their authors."""
    listed = "\n".join(f"- {link_dois(line)}" for line in sorted(lines))
    path.write_text(f"# References\n\nWhat the notebooks cite, each once.\n\n{listed}\n", encoding="utf-8")


def describe_run(workspace, done):
    """Say in one paragraph which run the notebooks of the book come from."""
    stated = read_json(workspace / "parameters.json")
    version = read_json(workspace / "provenance.json").get("versions", {}).get("epitome-kit", "unknown")
    source = "simulated heads" if stated.get("cohort") == "phantom" else "a cohort of its own"
    return (
        f"The {len(done)} notebooks of this book were executed with Epitome Kit {version} on {source},"
        f" profile `{stated.get('profile')}`, target `{stated.get('target')}`, seed {stated.get('seed')}."
    )


if __name__ == "__main__":
    try:
        page = build_book(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ROOT / "build" / "book")
    except EpitomeError as error:
        sys.exit(str(error))
    print(f"Open {page}")
