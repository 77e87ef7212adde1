"""The configuration: how a command line is read and how options are checked.

In comes what a user typed; out come valid settings, or one sentence. Every room may import from
here, and this room imports only ``landslide.errors``.
"""
