"""Real Docker engines for the tests: `python -m tests.engines --help`.

Here lives what it takes to have engines 20.10 and 26.1, rootless and remapped ones, and a registry
on one Debian or Ubuntu machine without a container registry to pull from. Every engine is made by
this package, lives in a room of its own (network and mount namespace), and shares nothing with an
engine that a developer runs. No test lives here, and nothing here imports claudy.
"""
