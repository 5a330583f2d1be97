"""claudy against real engines: streams, lifetime, ownership, the documented cases, bad input."""
