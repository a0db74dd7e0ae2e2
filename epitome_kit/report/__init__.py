"""Pages, model cards, checklists and summaries, written from the files of a run; each is loaded on first use."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
