"""Simulate heads with known truth: anatomy, tumour, scanner and the cohort they make; loaded on first use."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
