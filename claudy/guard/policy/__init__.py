"""What is allowed: tables that a reviewer reads top to bottom, and the rules they are made of.

`endpoints` has one row per endpoint of the Engine API and its query keys; `create`, `objects` and
`build` one row per body field or build option; each row with its reason. What has no row is
refused. `rules` are the checks that the rows name. docs/security.md's table is generated from
these rows. No sockets, files or daemon here: what a rule must ask, it asks a `Context`.
"""
