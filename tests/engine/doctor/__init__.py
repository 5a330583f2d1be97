"""`claudy doctor` and launch errors, each broken state made to happen for real.

`machine` is a Debian of its own, in a room of its own, whose engine the tests break as they like;
`test_chosen` breaks what a user chooses (DOCKER_HOST, contexts, TLS) beside an engine that works.
What one Linux machine can't be is in `test_replayed`, from recorded or synthesised answers.
"""
