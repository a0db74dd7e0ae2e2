"""The epitome of a tumour: its region cut out of every contrast, and the learned epitome."""
