"""Containers that claudy made, and what its sandboxes started: look at them, change them.

`listing` says what there is (one API call), `choose` which of it a name means, `details` and
`usage` look closer, `logs` reads, `lifecycle` and `pruning` change; `connect` finds the engine as
a launch does. All of it is also a Python API: the functions take a `claudy.engine.client.Engine`
and values, return values, raise `claudy.errors.ClaudyError`, and neither ask nor print; asking is
what `claudy.cli.containers` does before it calls what changes something.

    import os
    from claudy.containers.connect import open_engine
    from claudy.containers.listing import list_sandboxes

    for sandbox in list_sandboxes(open_engine(os.environ)):
        print(sandbox.name, sandbox.project, sandbox.state)
"""
