"""Grading: in-fold selection, a small ANN, and a score with its interval."""
