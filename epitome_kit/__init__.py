"""Epitome Kit: from brain-tumour MRI to a graded, measured epitome of the tumour.

Every public function is loaded when it is first used, so that importing the package is quick.
"""

import lazy_loader as lazy

__version__ = "0.1.0"

__getattr__, __dir__, _verbs = lazy.attach_stub(__name__, __file__)
__all__ = ["__version__", *_verbs]
