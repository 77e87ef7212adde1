"""Models for other programs: ONNX and torch.export files from measurements to probability.

Takes checkpoints; writes a folder of model files that need no line of this program. Only
``products`` and ``programs`` may import from here.
"""
