"""Notebooks for a class: hand-outs, submissions and marking."""
