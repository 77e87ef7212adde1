"""Options: how a command line is read and how values are checked before anything is opened.

In comes what a user typed; out come settings that are right or one sentence. Every room may
import from here, and this room imports only ``landslide.errors``.
"""
