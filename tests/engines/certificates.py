"""Certificates for the engines that answer over TLS, and a wrong authority to be refused by."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.engines.layout import CACHE
from tests.engines.shell import locked, run

_DAYS = "3650"


def certificates() -> Path:
    """Return a directory with ca.pem, cert.pem, key.pem, server-*.pem and wrong/ca.pem.

    The client's files have the names that DOCKER_CERT_PATH expects.
    """
    target = CACHE / "certificates"
    with locked(CACHE / "certificates.lock"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="partial-") as partial:
                made = Path(partial, "certificates")
                made.mkdir()
                _authority(made)
                _sign(made, "server", "server-cert.pem", "server-key.pem")
                _sign(made, "client", "cert.pem", "key.pem")
                (made / "wrong").mkdir()
                _authority(made / "wrong")
                _sign(made / "wrong", "client", "cert.pem", "key.pem")
                made.rename(target)
    return target


def _authority(into: Path) -> None:
    subject = ["-subj", "/CN=claudy test authority"]
    files = ["-keyout", str(into / "ca-key.pem"), "-out", str(into / "ca.pem")]
    new = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS]
    run(["openssl", "req", *new, *subject, *files])


def _sign(into: Path, name: str, certificate: str, key: str) -> None:
    extensions = into / f"{name}.cnf"
    extensions.write_text(
        f"subjectAltName = DNS:localhost,IP:127.0.0.1\nextendedKeyUsage = {name}Auth\n".replace(
            "serverAuth", "serverAuth,clientAuth"
        ),
    )
    request = into / f"{name}.csr"
    new = ["-newkey", "rsa:2048", "-nodes", "-subj", f"/CN=claudy test {name}"]
    run(["openssl", "req", *new, "-keyout", str(into / key), "-out", str(request)])
    authority = ["-CA", str(into / "ca.pem"), "-CAkey", str(into / "ca-key.pem"), "-CAcreateserial"]
    files = ["-in", str(request), "-out", str(into / certificate), "-extfile", str(extensions)]
    run(["openssl", "x509", "-req", "-days", _DAYS, *authority, *files])
