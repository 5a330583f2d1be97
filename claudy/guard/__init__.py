"""The guard: a filtering proxy between the sandbox and the Docker daemon.

    supervisor   binds the socket, reports ready, keeps a worker alive; imports almost nothing
    worker       accepts connections, one thread and one request each
    http         the client's bytes become a request, an answer becomes bytes; knows no policy
    policy       tables: every endpoint, query key and body field with its rule and reason
    handlers     what an allowed request does; uses policy, ledger, ownership and daemon
    ownership    which object a reference means, and whether the project made it
    ledger       full ids of what the project made, on disk
    paths        /workspace and the project's host path become something the daemon may mount
    views        what of the daemon's answers the sandbox may see

Nothing here prints; nothing outside (but `claudy.guard.ledger` and `claudy.guard.options`) is
meant to be imported by other packages. Policy knows no sockets, relay and http know no policy.
"""
