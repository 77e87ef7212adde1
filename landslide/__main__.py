"""One command line for every program: ``landslide <program> key=value …``."""

import sys
from collections.abc import Sequence
from importlib import import_module

from landslide import __version__

PROGRAMS = {
    "simulate": "write a simulated scene with known landslides",
    "implant": "write a scene's quiet past with implanted landslides",
    "prepare": "make a scene from radar images, a DEM and an inventory",
    "train": "train a model on a scene; -m sweeps over settings",
    "predict": "map a scene with a checkpoint or a detector",
    "export": "write a model for QGIS and other programs, as ONNX and torch.export",
    "composite": "write the bands of a scene as a model reads them, for QGIS",
    "polygons": "cut a finished map anew with another threshold or smallest area",
    "compare": "print the scores of maps beside each other",
    "catalog": "write a catalogue (STAC) of the maps in a folder",
    "respond": "take an event from the archive to a map, and again as images come",
    "anomaly": "add the anomaly of OPERA's disturbance network to a scene",
    "study": "compare the runs of a sweep in tables and figures",
    "part": "compute a part of the work that launcher=… spreads; programs run it themselves",
    "keras": "turn the authors' Keras weights into a checkpoint",
}


def main(words: Sequence[str] | None = None) -> None:
    """Run the program that the first word names.

    Args:
        words: The command line; default: that of this process.

    Raises:
        SystemExit: There is no such program, or its input cannot be used.
    """
    name, *options = (sys.argv[1:] if words is None else words) or ["--help"]
    if "--version" in (name, *options):
        print(f"landslide {__version__}")
    elif name in ("-h", "--help"):
        lines = [f"  {name:10}{about}" for name, about in PROGRAMS.items()]
        print("usage: landslide <program> key=value …\n", *lines, sep="\n")
        print("\n`landslide <program> --help` shows the options of a program.")
    elif name in PROGRAMS:
        from landslide.config.program import run_program

        task = getattr(import_module(f"landslide.programs.{name}"), name)
        run_program(name, task, options)
    else:
        sys.exit(f"{name} is no program: choose from {', '.join(PROGRAMS)}")


if __name__ == "__main__":
    main()
