"""Preprocessing: skull strip, bias field, registration and intensity, joined in one pipeline."""
