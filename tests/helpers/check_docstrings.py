"""Validate the docstrings of the public names by numpydoc (part of `make lint`); exit with 1 on errors."""

import sys
import warnings

from numpydoc.validate import validate

import epitome_kit

warnings.simplefilter("ignore")
verbs = [name for name in epitome_kit.__all__ if name != "__version__"]
errors = [f"{verb}: {code} {text}" for verb in verbs for code, text in validate(f"epitome_kit.{verb}")["errors"]]
print("\n".join(errors) or f"numpydoc: {len(verbs)} public names are documented completely.")
sys.exit(bool(errors))
