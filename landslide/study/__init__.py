"""Sweeps to tables and figures: ``landslide study sweep=multirun/nava2022``."""
