"""A project's sandbox: the plan of its container, its users, sessions, terminal and lifetime.

`resolve` turns settings into a `plan.Plan`, which launch, `--dry-run`, doctor and the tests share;
`launch` acts on it. Nothing here prints (`notice` callbacks are passed in) and nothing here knows
the command line.
"""
