"""Pages, model cards, checklists and summaries, written from the files of a run."""
