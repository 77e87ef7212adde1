"""The programs: one module each, with a ``main`` that reads the command line.

In come words such as ``scene=data/demo``; out comes what the program wrote, or one sentence. A
module checks options first and imports the rooms that do the work afterwards, so that help and
mistakes take less than two seconds. Programs may import every room; no room imports a program.
"""
