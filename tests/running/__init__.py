"""claudy as its user runs it: as a program, on a pipe or on a terminal, against a real engine.

What the tests below `terminal/` and `engine/` share: the program with an environment of its own, a
terminal to run it on, and what the engine says of a project's sandboxes. No test lives here.
"""
