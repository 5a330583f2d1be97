"""This machine: which engine the user means, and where this process runs.

`endpoint` (with `contexts`, `address`, `probe`) answers where the client connects, `whereami` what
this machine is, `install` how an engine gets onto it. Nothing here talks to an engine: what the
engine says about itself is read in `claudy.engine.identity`. Environment, home and root directory
are passed in, so that every other machine can be played in a test.
"""
