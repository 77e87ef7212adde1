"""One command line for every program: ``landslide <program> key=value …``."""

import sys
from importlib import import_module

PROGRAMS = {
    "simulate": "write a simulated scene with known landslides",
    "prepare": "make a scene from radar images, a DEM and an inventory",
    "train": "train a model on a scene; -m sweeps over settings",
    "predict": "map a scene with a checkpoint",
    "study": "compare the runs of a sweep in tables and figures",
    "keras": "turn the authors' Keras weights into a checkpoint",
}


def main() -> None:
    """Run the program that the first argument names.

    Raises:
        SystemExit: There is no such program.
    """
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        lines = [f"  {name:10}{about}" for name, about in PROGRAMS.items()]
        print("usage: landslide <program> key=value …\n", *lines, sep="\n")
        print("\n`landslide <program> --help` shows the options of a program.")
        return
    if words[0] not in PROGRAMS:
        raise SystemExit(f"{words[0]} is no program: choose from {', '.join(PROGRAMS)}")
    sys.argv = [f"landslide {words[0]}", *words[1:]]
    import_module(f"landslide.programs.{words[0]}").main()


if __name__ == "__main__":
    main()
