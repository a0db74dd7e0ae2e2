"""Origins: each reads its own layout and writes a Cohort."""
