"""The programs: one module each, with a function of the same name that takes the configuration.

In come the settings of a command line; out comes what the program wrote, or one sentence. A module
checks options first and imports the rooms that do the work afterwards, so that help and mistakes
take less than two seconds. Programs may import every room; no room imports a program.
"""
