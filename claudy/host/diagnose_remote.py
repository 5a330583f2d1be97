"""Why an engine behind tcp, TLS or ssh can't be reached."""

from __future__ import annotations

from claudy.host.finding import Finding, way_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.host.endpoint import Endpoint


def diagnose_remote(error: BaseException, endpoint: Endpoint, where: str) -> Finding:
    """Return what a failed connection to a tcp or ssh endpoint means.

    Args:
        error: the OSError of connecting, sending or receiving.
        endpoint: where to.
        where: the endpoint and its source, for messages.
    """
    if type(error).__module__ == "ssl":
        return _tls(error, endpoint, where)
    if endpoint.kind == "ssh":
        return _ssh(error, endpoint, where)
    if isinstance(error, TimeoutError):
        if getattr(error, "connecting", False):
            return Finding(
                "engine-unreachable",
                f"No Docker engine answers at {where}: nothing comes back from"
                f" {endpoint.address[0]}. The address is wrong, or a firewall drops the packets.",
                way_back(endpoint),
            )
        return Finding(
            "engine-hangs",
            f"The Docker engine at {where} accepts connections and does not answer: it hangs.",
            way_back(endpoint),
        )
    return _tcp(error, endpoint, where)


def _tcp(error: BaseException, endpoint: Endpoint, where: str) -> Finding:
    """Return what is wrong with a tcp endpoint."""
    import socket

    host, port = endpoint.address
    if isinstance(error, socket.gaierror):
        return Finding(
            "host-unknown",
            f"The Docker engine at {where} can't be reached: there is no host {host}.",
            way_back(endpoint),
        )
    if isinstance(error, ConnectionRefusedError):
        return Finding(
            "tcp-refused",
            f"No Docker engine answers at {where}: {host} refuses connections to port {port}.",
            way_back(endpoint),
        )
    if isinstance(error, ConnectionError) and endpoint.tls is None:
        return Finding(
            "connection-lost",
            f"The Docker engine at {where} closed the connection. If it expects TLS, set"
            " DOCKER_TLS_VERIFY.",
            way_back(endpoint),
        )
    why = getattr(error, "strerror", "") or error
    return Finding(
        "engine-unreachable",
        f"The Docker engine at {where} can't be reached: {why}.",
        way_back(endpoint),
    )


def _tls(error: BaseException, endpoint: Endpoint, where: str) -> Finding:
    """Return what is wrong with a TLS connection, from OpenSSL's words."""
    words = str(error)
    if "WRONG_VERSION_NUMBER" in words or "record layer failure" in words.lower():
        return Finding(
            "tls-unexpected",
            f"The Docker engine at {where} does not speak TLS, and it was asked to.",
            "unset DOCKER_TLS_VERIFY DOCKER_TLS",
        )
    tls = endpoint.tls
    code, why = "tls-failed", words
    if "Hostname mismatch" in words or "IP address mismatch" in words:
        code, why = "tls-hostname", f"its certificate is not for {endpoint.address[0]}"
    elif "CERTIFICATE_VERIFY_FAILED" in words:
        ca = tls.ca if tls and tls.ca else "the system's certificate authorities"
        code, why = "tls-untrusted", f"its certificate was not signed by {ca}"
    elif "ALERT" in words.upper() and "CERT" in words.upper():
        code = "tls-client-certificate"
        given = tls.cert if tls else ""
        why = f"the engine does not accept {given}" if given else "it asks for a client certificate"
    return Finding(
        code, f"TLS with the Docker engine at {where} failed: {why}.", way_back(endpoint)
    )


def ssh_client_missing(endpoint: Endpoint) -> Finding:
    """Return the finding for an ssh address on a machine without ssh.

    Args:
        endpoint: where to.
    """
    import os

    from claudy.host.finding import this_host
    from claudy.host.install import plan_ssh, survey

    host = this_host(os.environ)
    machine = survey(env=host.env, platform=host.platform, uid=host.uid)
    return Finding(
        "ssh-missing",
        f"{endpoint.url} (from: {endpoint.source}) needs the ssh client, and there is none on the"
        " PATH.",
        plan_ssh(machine).line,
    )


def _ssh(error: BaseException, endpoint: Endpoint, where: str) -> Finding:
    """Return why ssh to an engine failed, from its own words."""
    remote = f"The Docker engine at {where} can't be reached"
    if isinstance(error, TimeoutError):
        message = f"{remote}: neither ssh nor the docker command there answers in time."
        return Finding("ssh-silent", message, way_back(endpoint))
    target, port = endpoint.address
    said = str(getattr(error, "words", "")) or str(error)
    login = " ".join(["ssh", *(["-p", str(port)] if port else []), target])
    code, why = _meaning(said, login)
    if not why:
        lines = said.splitlines() or ["ssh ended"]
        why = lines[-1].strip().rstrip(".")
    return Finding(code, f"{remote}: {why}.", way_back(endpoint))


def _meaning(said: str, login: str) -> tuple[str, str]:
    """Return the finding's id, and what it means where ssh's last line does not tell that."""
    lower = said.lower()
    known = (
        (
            "identification has changed" in lower,
            "ssh-host-key-changed",
            "its ssh key is not the one of the last time; known_hosts has that (ssh-keygen -R)",
        ),
        (
            "host key verification failed" in lower,
            "ssh-host-key",
            f"its ssh key is not known here yet. To check and accept it: {login}",
        ),
        (
            "permission denied (" in lower or "too many authentication failures" in lower,
            "ssh-denied",
            f"ssh lets you in with a key alone, and none of yours does. To see why: {login}",
        ),
        (
            "docker: command not found" in lower or "docker: not found" in lower,
            "ssh-no-docker",
            "there is no docker command on that machine",
        ),
        (
            "permission denied" in lower and "docker" in lower,
            "ssh-engine-denied",
            "the user there may not use Docker (is not in its group)",
        ),
        (
            "cannot connect to the docker daemon" in lower or ".sock" in lower,
            "ssh-engine-stopped",
            "ssh works, but no engine answers on that machine",
        ),
    )
    return next(((code, why) for matches, code, why in known if matches), ("ssh-failed", ""))
