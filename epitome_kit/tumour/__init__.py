"""The tumour's epitome: segment, measure, distil."""
