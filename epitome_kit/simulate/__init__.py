"""Simulate heads with known truth: anatomy, tumour, scanner and cohorts."""
