"""Simulated scenes with known landslides, for tests, demonstrations and teaching."""

from landslide.simulate.event import Scene, simulate
from landslide.simulate.options import Options
from landslide.simulate.write import simulate_scene

__all__ = ["Options", "Scene", "simulate", "simulate_scene"]
