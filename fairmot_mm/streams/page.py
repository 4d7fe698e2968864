"""A page in the browser that shows streams while they are tracked."""

import asyncio
import contextlib
import secrets
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import uvicorn
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import (
        HTMLResponse,
        JSONResponse,
        PlainTextResponse,
        Response,
        StreamingResponse,
    )
    from starlette.routing import Route
except ImportError as error:
    raise ImportError(
        f"--serve needs {error.name}: pip install 'fairmot_mm[cameras]'"
    ) from error

from .access import Guard, is_loopback
from .metrics import StreamCollector
from .pictures import PictureFeed, Viewers
from .view import StreamView

if TYPE_CHECKING:
    from starlette.types import Message, Send

_PAGE = Path(__file__).parent / "templates/streams.html"
_BOUNDARY = b"fairmot-picture"
# Bytes that the system keeps for a viewer; what waits there is out of date.
_SEND_BUFFER = 1 << 17
# Seconds that a viewer may take for a picture before the connection is given up.
_SEND_TIMEOUT = 20.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageServer:
    """Serves the page, its pictures and figures from a thread of its own.

    | address | |
    |---|---|
    | ``/`` | the page |
    | ``/state.json`` | figures of all streams |
    | ``/pictures`` | pictures of all streams over one connection: index of the stream and length, 4 bytes each (big-endian), then the JPEG file |
    | ``/streams/NAME.mjpg`` | pictures of one stream, as multipart |
    | ``/metrics`` | figures for Prometheus |
    | ``/healthz`` | 200 while a stream runs, 503 otherwise |

    Args:
        names: Names of the streams, all different.
        port: Where it listens. 0 takes a free one.
        host: Address it listens at. At any but this machine's own ("127.0.0.1"), all
            but ``/healthz`` asks for a token.

    Attributes:
        views: By the streams' names, what tracking reports to.
        token: None where none is needed.
        url: Address of the page, with the token. Known after :meth:`start`, as is
            ``port`` if it was 0.

    Raises:
        ImportError: A package of the extra ``cameras`` is missing.
        ValueError: There is no such port, or two streams have one name.
    """  # noqa: E501

    def __init__(
        self, names: Sequence[str], port: int, host: str = "127.0.0.1"
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"--serve {port}: expected a port, 0 to 65535")
        if len(set(names)) < len(names):
            raise ValueError(f"streams must differ in name, got {', '.join(names)}")
        self.port, self.host = port, host
        self.token = None if is_loopback(host) else secrets.token_urlsafe(24)
        self.views = {name: StreamView(name, self._wake) for name in names}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._feeds = {
            name: PictureFeed(view, self._executor) for name, view in self.views.items()
        }
        self._viewers = Viewers()
        self._registry = CollectorRegistry()
        self._registry.register(StreamCollector(list(self.views.values())))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the page, with the token."""
        host = self.host
        if host in ("0.0.0.0", "::", ""):
            host = socket.gethostname()
        elif ":" in host:
            host = f"[{host}]"
        query = "" if self.token is None else f"?token={self.token}"
        return f"http://{host}:{self.port}/{query}"

    def start(self) -> None:
        """Serve from now on.

        Raises:
            OSError: The port is taken or not allowed, or the host is not this machine.
        """
        listener = self._listen()
        self.port = listener.getsockname()[1]
        application = Starlette(
            routes=[
                Route("/", self._page),
                Route("/state.json", self._state),
                Route("/pictures", self._pictures),
                Route("/streams/{name:path}.mjpg", self._stream),
                Route("/metrics", self._metrics),
                Route("/healthz", self._health),
            ]
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(application, self.token, f"fairmot_token_{self.port}"),
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="error",
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(listener),), name="page", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End it; viewers are cut off."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._call(self._viewers.close)
            self._thread.join(5)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            listener = socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            raise OSError(
                error.errno,
                f"--serve {self.port}: cannot listen at {self.host}, port {self.port} "
                f"({error.strerror}): choose another port with --serve, 0 for a free "
                "one, or another --host",
            ) from error
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        assert self._server is not None
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[listener])

    def _wake(self) -> None:
        self._call(self._viewers.wake)

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            # The loop may have ended meanwhile.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)

    async def _page(self, request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; connect-src 'self'; img-src 'self'; "
            f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )
        headers = {**_HEADERS, "Content-Security-Policy": policy}
        page = _PAGE.read_text(encoding="utf-8").replace("NONCE", nonce)
        return HTMLResponse(page, headers=headers)

    async def _state(self, request: Request) -> Response:
        streams = [view.status()._asdict() for view in self.views.values()]
        return JSONResponse({"streams": streams}, headers=_HEADERS)

    async def _pictures(self, request: Request) -> Response:
        feeds = list(self._feeds.values())
        return _Pictures(self._framed(feeds), media_type="application/octet-stream")

    async def _stream(self, request: Request) -> Response:
        feed = self._feeds.get(request.path_params["name"])
        if feed is None:
            names = ", ".join(self.views)
            return PlainTextResponse(f"no such stream; there are: {names}\n", 404)
        media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}"
        return _Pictures(self._multipart(feed), media_type=media_type)

    async def _framed(
        self, feeds: Sequence[PictureFeed]
    ) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self._viewers.follow(feeds)) as pictures:
            async for picture in pictures:
                if picture is None:
                    yield b""
                else:
                    index, data = picture
                    yield index.to_bytes(4) + len(data).to_bytes(4) + data

    async def _multipart(self, feed: PictureFeed) -> AsyncGenerator[bytes, None]:
        yield b"--" + _BOUNDARY + b"\r\n"
        async with contextlib.aclosing(self._viewers.follow([feed])) as pictures:
            async for picture in pictures:
                if picture is None:
                    yield b""
                else:
                    _, data = picture
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}"
                    # Browsers show a picture once they have seen its end.
                    end = b"\r\n--" + _BOUNDARY + b"\r\n"
                    yield head.encode() + b"\r\n\r\n" + data + end

    async def _metrics(self, request: Request) -> Response:
        text = generate_latest(self._registry)
        headers = {**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST}
        return Response(text, headers=headers)

    async def _health(self, request: Request) -> Response:
        states = {name: view.status().state for name, view in self.views.items()}
        healthy = "running" in states.values()
        ill = [name for name, state in states.items() if state != "running"]
        content = {"status": "ok" if healthy else "ill", "ill": ill, "states": states}
        return JSONResponse(content, 200 if healthy else 503, headers=_HEADERS)


class _Pictures(StreamingResponse):
    """Pictures until the viewer goes away, or takes them no more."""

    def __init__(self, pictures: AsyncGenerator[bytes, None], media_type: str) -> None:
        super().__init__(pictures, headers=_HEADERS, media_type=media_type)
        self._pictures = pictures

    async def stream_response(self, send: "Send") -> None:
        """Send them."""

        async def send_in_time(message: "Message") -> None:
            async with asyncio.timeout(_SEND_TIMEOUT):
                await send(message)

        async with contextlib.aclosing(self._pictures):
            with contextlib.suppress(TimeoutError):
                await super().stream_response(send_in_time)
