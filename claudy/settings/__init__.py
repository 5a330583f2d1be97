"""Settings and where each came from: flag > environment > project file > user file > default.

`model` lists every setting, `load` merges the layers, `trust` remembers which project files the
user has accepted. Nothing here acts on a setting.
"""
