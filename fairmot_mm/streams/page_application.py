"""What the page's server answers."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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

from .metrics import StreamCollector
from .pictures import PictureFeed, Viewers

if TYPE_CHECKING:
    from starlette.types import Message, Send

_PAGE = Path(__file__).parent / "templates/streams.html"
_BOUNDARY = b"fairmot-picture"
# Seconds that a viewer may take for a picture before the connection is given up.
_SEND_TIMEOUT = 20.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageApplication:
    """Page, pictures and figures of streams, as :class:`PageServer` describes them.

    Args:
        feeds: The streams' pictures, by name.
        viewers: Those who watch them.

    Attributes:
        asgi: What a server runs.
    """

    def __init__(self, feeds: Mapping[str, PictureFeed], viewers: Viewers) -> None:
        self._feeds, self._viewers = feeds, viewers
        self._views = {name: feed.view for name, feed in feeds.items()}
        self._registry = CollectorRegistry()
        self._registry.register(StreamCollector(list(self._views.values())))
        self.asgi = Starlette(
            routes=[
                Route("/", self._page),
                Route("/state.json", self._state),
                Route("/pictures", self._pictures),
                Route("/streams/{name:path}.mjpg", self._stream),
                Route("/metrics", self._metrics),
                Route("/healthz", self._health),
            ]
        )

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
        streams = [view.status()._asdict() for view in self._views.values()]
        return JSONResponse({"streams": streams}, headers=_HEADERS)

    async def _pictures(self, request: Request) -> Response:
        feeds = list(self._feeds.values())
        return _Pictures(self._framed(feeds), media_type="application/octet-stream")

    async def _stream(self, request: Request) -> Response:
        feed = self._feeds.get(request.path_params["name"])
        if feed is None:
            names = ", ".join(self._views)
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
        states = {name: view.status().state for name, view in self._views.items()}
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
