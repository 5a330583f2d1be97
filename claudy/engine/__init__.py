"""Talking to the Docker daemon: connection, requests, failures, streams, which engine it is.

`client.Engine` is the one engine client; everything that asks the daemon goes through it. It
knows endpoints and HTTP, not sandboxes or images. Own code instead of `docker`/`requests`
because of the launch path: their import alone takes four times what a whole `docker exec` costs
of client time (bench/RESULTS.md); the SDK is used where claudy needs what it knows about
credentials (`claudy.image.credentials`).
"""
