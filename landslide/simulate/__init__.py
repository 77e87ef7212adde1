"""Simulated scenes with known landslides, for tests, demonstrations and teaching."""

from landslide.simulate.options import Options
from landslide.simulate.output import simulate_scene
from landslide.simulate.simulation import SimulatedScene, simulate

__all__ = ["Options", "SimulatedScene", "simulate", "simulate_scene"]
