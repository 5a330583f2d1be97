"""BuildKit, mediated: the few calls that a build needs, each message taken apart and built anew.

    wire       protobuf messages by tables of their fields; an unknown field is refused
    policy     which calls exist, which fields and options a Solve may have, and why
    mediator   HTTP/2 ends here on both sides; requests are whole messages before they go on

The client's HTTP/2 never reaches the daemon. `/session` carries calls in the other direction, from
the daemon to the client's own files; it is relayed under an id and a key that are the project's.
"""
