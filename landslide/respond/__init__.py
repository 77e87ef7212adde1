"""The response to an event, from the archive to one map after another.

In come an event, an area and an archive; out come maps, and a record of what was flown, what is due
and what each map rests on. Everything is made in folders that are named after their inputs and
appear when they are complete, so a response that is started again goes on where it was.
"""
