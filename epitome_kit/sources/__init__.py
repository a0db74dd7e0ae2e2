"""Import other layouts as a Cohort, and judge which contrast a file shows; loaded on first use."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
