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
        return _ssh(endpoint, where)
    if isinstance(error, TimeoutError):
        return Finding(
            "engine-unreachable",
            f"The Docker engine at {where} does not answer in time: the address is wrong, or a"
            " firewall drops the packets.",
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
    return Finding(
        "engine-unreachable",
        f"The Docker engine at {where} can't be reached: {error}.",
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


def _ssh(endpoint: Endpoint, where: str) -> Finding:
    """Return why ssh to an engine fails, in ssh's own words."""
    import subprocess

    target, port = endpoint.address
    argv = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2"]
    argv += ["-p", str(port)] if port else []
    argv += ["--", target, "docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", check=False, timeout=4
        )
        lines = done.stderr.strip().splitlines()
        words = lines[-1].strip() if lines else f"ssh ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        words = "ssh did not answer in time"
    except OSError as e:
        words = f"ssh can't be run: {e.strerror}"
    return Finding(
        "ssh-failed",
        f"The Docker engine at {where} can't be reached: {words.rstrip('.')}.",
        way_back(endpoint),
    )
