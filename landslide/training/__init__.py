"""From batches to a checkpoint with its scores: task, losses, metrics, evaluation, one run.

In come a data module and a model; out come a checkpoint, metrics and figures. ``study``,
``prediction`` and ``products`` may import from here.
"""
