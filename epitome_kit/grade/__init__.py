"""Feature selection, an ANN of random features, baselines and scores; each function is loaded when it is first used."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
