"""Simulated heads with known truth: anatomy, tumour, scanner and the cohort they make."""
