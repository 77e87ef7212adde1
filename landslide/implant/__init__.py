"""Landslides implanted into the quiet past of a scene: training data without a label.

In go the dates of a scene from before its event, out come images and masks like the event's. This
room imports from ``simulate`` (shapes) and the rooms below it; the data room draws from it.
"""
