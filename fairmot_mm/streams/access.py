"""Who may see the page."""

import hmac
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Asked by service managers, which have no token.
_OPEN_PATHS = ("/healthz",)


class Guard:
    """Lets requests through that may see the streams.

    With a token: those that carry it, as ``?token=`` once, later as a cookie. Without:
    those that ask for this machine by a local name, so that no foreign web page can
    reach the streams by a name of its own that leads here (DNS rebinding).

    Args:
        application: What is guarded.
        token: None if none is needed.
        cookie: Name of the cookie. Browsers do not tell ports apart, so it should
            differ by port.
    """

    def __init__(self, application: "ASGIApp", token: str | None, cookie: str) -> None:
        self._application, self._token, self._cookie = application, token, cookie

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._application(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if self._token is None:
            host = connection.headers.get("host", "")
            if is_loopback(_host_name(host)):
                await self._application(scope, receive, send)
            else:
                text = (
                    f"{host} is no name of this machine for itself: ask for 127.0.0.1; "
                    "a reverse proxy must send this as Host\n"
                )
                await PlainTextResponse(text, 403)(scope, receive, send)
            return
        asked = connection.query_params.get("token")
        if asked is not None and _same(asked, self._token):
            # No redirection to the bare address: coming from elsewhere, it would not
            # carry a cookie that is SameSite=Strict.
            await self._application(scope, receive, self._with_cookie(send))
        elif _same(connection.cookies.get(self._cookie, ""), self._token):
            await self._application(scope, receive, send)
        else:
            text = "token missing or wrong: open the address printed at the start\n"
            await PlainTextResponse(text, 401)(scope, receive, send)

    def _with_cookie(self, send: "Send") -> "Send":
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        header = (b"set-cookie", cookie.encode())

        async def send_cookie(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        return send_cookie


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine and is reachable from it alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_name(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())
