"""claudy: open a project's sandbox in which Docker works as on the host.

Layers, each importing only those to its right:
`cli` -> `sandbox`, `image`, `doctor`, `guard`, `containers` -> `engine`, `host`, `settings` ->
`record`, `errors`, `digest`.
"""

__version__ = "0.1.0"
