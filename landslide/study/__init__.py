"""From finished runs of a sweep to tables and figures: leaderboard, effects, ensembles, one page.

In come the folders of runs; out come ranked settings, paired differences and a study. Only
``programs`` imports from here.
"""
