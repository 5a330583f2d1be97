"""The image of a sandbox: which one it is, and how it gets onto the engine.

`reference` names it (a hash of all that goes in), `ensure` makes it be there: an API call when it
is, else `make` with `pull`, `build` and, where no registry answers, `bootstrap`. `userimage`
derives the image in which the project's owner is a known user. Nothing here prints: what happens
is told as the plain values of `events`. `reference`, `ensure` and `userimage` are on the launch
path and import only what is cheap; all else is imported when there is something to do.
"""
