"""Sweeps to tables and figures: ``python -m landslide.study sweep=multirun/nava2022``."""
