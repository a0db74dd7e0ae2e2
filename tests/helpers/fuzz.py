"""Give a reader bytes that atheris grows from sound ones as it sees which lines they reach: `fuzz.py READER CORPUS`."""

import sys

import atheris

with atheris.instrument_imports(include=["epitome_kit", "nibabel", "pydicom"]):
    import readers

name = sys.argv.pop(1)
atheris.Setup(sys.argv, lambda data: readers.read(name, data))
atheris.Fuzz()
