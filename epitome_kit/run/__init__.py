"""Running the notebooks strictly, and reporting what came of it."""
