"""A page in the browser that shows streams while they are tracked."""

import asyncio
import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from .pictures import PictureFeed, Viewers
from .view import StreamView

# Bytes that the system keeps for a viewer; what waits there is out of date.
_SEND_BUFFER = 1 << 17


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
        try:
            import uvicorn

            from .access import is_loopback
            from .page_application import PageApplication
        except ImportError as error:
            raise ImportError(
                f"--serve needs {error.name}: pip install 'fairmot_mm[cameras]'"
            ) from error
        if not 0 <= port <= 65535:
            raise ValueError(f"--serve {port}: expected a port, 0 to 65535")
        if len(set(names)) < len(names):
            raise ValueError(f"streams must differ in name, got {', '.join(names)}")
        self.port, self.host = port, host
        self.token = None if is_loopback(host) else secrets.token_urlsafe(24)
        self.views = {name: StreamView(name, self._wake) for name in names}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._viewers = Viewers()
        feeds = {
            name: PictureFeed(view, self._executor) for name, view in self.views.items()
        }
        self._application = PageApplication(feeds, self._viewers).asgi
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
        import uvicorn

        from .access import Guard

        listener = self._listen()
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(self._application, self.token, f"fairmot_token_{self.port}"),
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
