"""Simulated scenes with known landslides, for tests, demonstrations and teaching."""

from landslide.simulate.scene import Options, Scene, simulate, simulate_scene

__all__ = ["Options", "Scene", "simulate", "simulate_scene"]
