"""Simulated scenes with known landslides, for tests, demonstrations and teaching."""

from landslide.simulate.options import Options, default_options
from landslide.simulate.output import simulate_scene
from landslide.simulate.simulation import SimulatedScene, simulate

__all__ = ["Options", "SimulatedScene", "default_options", "simulate", "simulate_scene"]
