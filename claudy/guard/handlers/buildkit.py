"""/grpc and /session: BuildKit for the builds of this project."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudy.digest import sha256
from claudy.guard.handlers import tags
from claudy.guard.refusal import Denied, invalid, refused
from claudy.guard.relay import relay

if TYPE_CHECKING:
    from claudy.guard.buildkit.mediator import Call
    from claudy.guard.exchange import Exchange

_UPGRADE = {"Connection": "Upgrade", "Upgrade": "h2c"}
_EXPOSE = "x-docker-expose-session-"
_WORD = re.compile(r"[A-Za-z0-9_.=:/@+ -]{0,256}")
_METHODS = re.compile(
    r"/moby\.filesync\.v1\.(?:FileSync/DiffCopy|FileSend/DiffCopy|"
    r"Auth/(?:Credentials|FetchToken|GetTokenAuthority|VerifyTokenAuthority))|"
    r"/moby\.buildkit\.secrets\.v1\.Secrets/GetSecret|"
    r"/moby\.sshforward\.v1\.SSH/(?:CheckAgent|ForwardAgent)|"
    r"/moby\.upload\.v1\.Upload/Pull|/grpc\.health\.v1\.Health/(?:Check|Watch|List)"
)


def session(x: Exchange) -> None:
    """Relay a session: the daemon's calls to the client's own files, secrets and agent.

    Raises:
        Denied: it is malformed, or a build's file is outside of its context.
    """
    x.client.read_body(64)
    if x.head.upgrade != "h2c":
        raise refused("a session is upgraded to h2c", "Use docker build.")
    headers = dict(_UPGRADE)
    found = x.head.headers
    uuid = found.get(f"{_EXPOSE}uuid", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{8,64}", uuid):
        raise invalid("a session without a proper id")
    name = found.get(f"{_EXPOSE}name", "")
    if not _WORD.fullmatch(name):
        raise invalid("a session with a malformed name")
    # The daemon keeps contexts by this key: another's key would show another's files.
    key = f"{x.services.settings.project}\0{found.get(f'{_EXPOSE}sharedkey', '')}"
    headers["X-Docker-Expose-Session-Uuid"] = uuid
    headers["X-Docker-Expose-Session-Name"] = name
    headers["X-Docker-Expose-Session-Sharedkey"] = sha256(key.encode()).hexdigest()
    methods = [
        word for word in x.head.all_values(f"{_EXPOSE}grpc-method") if _METHODS.fullmatch(word)
    ]
    answer = x.open(
        headers=headers, repeated=[("X-Docker-Expose-Session-Grpc-Method", m) for m in methods]
    )
    if answer.status != 101:  # noqa: PLR2004 - Switching Protocols
        x.reply(answer)
        return
    # Only builds need HTTP/2 and these tables.
    from claudy.guard.buildkit.filesync import Reader
    from claudy.guard.buildkit.policy import STAGES_API

    reader = Reader(stages=x.daemon.offered < STAGES_API)
    with x.services.sessions.held(uuid), answer:
        x.client.send_head(101, _UPGRADE)
        _, first = answer.response.take()
        try:
            relay(
                x.client.sock,
                answer.sock,
                to_client=first,
                to_daemon=x.client.early_bytes(),
                looks=(reader.from_daemon, reader.from_client),
            )
        except Denied as denied:
            x.services.sessions.refuse(uuid, denied.message)
            raise


def grpc(x: Exchange) -> None:
    """Mediate the calls of a build."""
    # Only builds need HTTP/2 and these tables.
    from claudy.guard.buildkit.mediator import Mediator

    x.client.read_body(64)
    if x.head.upgrade != "h2c":
        raise refused("/grpc is upgraded to h2c", "Use docker build.")
    answer = x.open(headers=_UPGRADE)
    if answer.status != 101:  # noqa: PLR2004 - Switching Protocols
        x.reply(answer)
        return
    with answer:
        x.client.send_head(101, _UPGRADE)
        _, first = answer.response.take()
        build = _Builds(x)
        reason = x.services.sessions.reason
        mediator = Mediator(x.client.sock, answer.sock, build.check, build.refusal, reason)
        mediator.run(first_down=x.client.early_bytes(), first_up=first)


class _Builds:
    """The builds of one connection."""

    def __init__(self, x: Exchange) -> None:
        self._x = x
        settings = x.services.settings
        self._namespace = sha256(settings.project.encode()).hexdigest()[:16]
        self._own_steps = not settings.share_build_cache

    def refusal(self, path: str, denied: Denied) -> None:
        """Write a refusal down."""
        self._x.services.audit.refusal("POST", f"/grpc {path}", denied.status, denied.message)

    def check(self, call: Call, data: bytes) -> bytes:
        """Return the message to forward.

        Raises:
            LookupError: the call is not offered.
            Denied: it is refused.
            NotYet: its build is not begun.
        """
        from claudy.guard.buildkit import policy
        from claudy.guard.buildkit.mediator import BUILD, NotYet

        if call.path not in policy.CALLS:
            raise LookupError(call.path)
        build = call.headers.get(BUILD, "")
        sessions = self._x.services.sessions
        if build and not sessions.knows_build(build):
            if not policy.REF.fullmatch(build):
                raise invalid("a malformed build id")
            call.build = build
            raise NotYet
        if call.path == policy.SOLVE:
            return self._solve(call, data)
        if call.path == policy.BRIDGE_SOLVE:
            api = self._x.daemon.offered
            return policy.bridge_solve(data, self._namespace, api, own_steps=self._own_steps)
        if call.path in policy.EMPTY:
            return b""
        if call.path.endswith("/Status"):
            checked = policy.status(data)
            call.build = policy.ref_of(data)
            if not sessions.knows_build(call.build):
                raise NotYet
            return checked
        if not build:
            raise invalid("a call without a build")
        return policy.returned(data) if call.path == policy.RETURN else data

    def _solve(self, call: Call, data: bytes) -> bytes:
        from claudy.guard.buildkit import policy
        from claudy.guard.buildkit.wire import decode

        call.build = policy.ref_of(data)  # until it is allowed
        x = self._x
        wanted = policy.solve(data, self._namespace, x.daemon.offered, own_steps=self._own_steps)
        if wanted.session and not x.services.sessions.has(wanted.session):
            raise refused("the build names a session of another client", "Build again.")
        names = [tags.normalised(name) for name in wanted.names]
        before = tags.all_images(x)
        x.services.sessions.add_build(wanted.ref, wanted.session)

        def finish(answer: bytes) -> None:
            response = decode(answer, policy.SOLVE_RESPONSE).get("ExporterResponse", {})
            image = response.get("containerimage.digest", "")
            if not image:
                return
            tags.adopt(x, image, before)
            for name in names:
                tags.put(x, image, name)

        call.finish, call.build, call.begins = finish, "", wanted.ref
        return wanted.data


HANDLERS = {"session": session, "grpc": grpc}
