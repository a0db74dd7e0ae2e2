"""Importers: each reads another layout and writes a Cohort."""
