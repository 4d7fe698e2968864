"""The page of streams, asked by plain HTTP and by a headless browser."""

import http.client
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, contextmanager
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
import pytest
from browser import Browser

from fairmot_mm.streams.page import PageServer
from fairmot_mm.streams.view import StreamView

pytest.importorskip("uvicorn", reason="the extra cameras is not installed")

NAMES = ("door", "north side/gate 2", "<b>hall</b>")
PATIENCE = 60  # seconds, on a busy machine


def image(grey: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), grey, np.uint8)


def row(kind: str, name: str, **values) -> dict:
    keys = ("in", "out", "present", "visitors", "dwell_mean", "dwell_max")
    label = "pedestrian" if kind == "line" else ""
    return {"kind": kind, "name": name, "class": label, **dict.fromkeys(keys), **values}


COUNTS = [
    row("line", "entrance", **{"in": 12, "out": 7}),
    row("zone", "<i>queue</i>", present=3, visitors=9, dwell_mean=2.5, dwell_max=30.0),
]


@contextmanager
def serving(names=NAMES, **arguments):
    server = PageServer(names, **{"port": 0, **arguments})
    with closing(server):
        server.start()
        yield server


@contextmanager
def showing(view: StreamView):
    """Shows pictures of changing grey until it is left."""
    stop = threading.Event()

    def show() -> None:
        grey = 0
        while not stop.wait(0.02):
            grey = (grey + 8) % 256
            view.show(image(grey) if view.wanted else None, 2, COUNTS, 0.1)

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ask(server: PageServer, path: str, **headers: str):
    """Status, headers and text of an answer."""
    address = f"http://127.0.0.1:{server.port}{path}"
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def watching(server: PageServer, path: str):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", path)
        yield connection.getresponse()


def grey_of(data: bytes) -> int:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return round(picture.mean())


def next_part(answer: http.client.HTTPResponse) -> bytes:
    assert answer.readline() == b"--fairmot-picture\r\n"
    head = {}
    while (line := answer.readline()) != b"\r\n":
        key, _, value = line.decode().partition(":")
        head[key.lower()] = value.strip()
    assert head["content-type"] == "image/jpeg"
    data = answer.read(int(head["content-length"]))
    assert answer.readline() == b"\r\n"
    return data


def test_state_says_what_was_shown_and_reported():
    with serving() as server:
        view = server.views[NAMES[1]]
        view.report("running", 2, 30, None)
        for _ in range(5):
            view.show(None, 4, COUNTS, 0.5)
        server.views["door"].report("lost", 1, 0, "no answer")
        door, gate, hall = json.loads(ask(server, "/state.json")[2])["streams"]
    assert [stream["name"] for stream in (door, gate, hall)] == [*NAMES]
    assert gate["counts"] == COUNTS
    assert (gate["state"], gate["frames"], gate["tracks"]) == ("running", 5, 4)
    assert (gate["losses"], gate["dropped"], gate["error"]) == (2, 30, None)
    assert gate["age"] >= 0.5
    assert gate["fps"] > 0
    assert (door["state"], door["error"], door["age"]) == ("lost", "no answer", None)
    assert (hall["state"], hall["fps"]) == ("starting", 0)


def test_frame_rate_and_age_are_of_now(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    view = StreamView("door")
    for _ in range(100):
        now[0] += 0.1
        view.show(None, 0, [], 0.25)
    assert view.status().fps == pytest.approx(10, rel=0.05)
    assert view.status().age == pytest.approx(0.25)
    now[0] += 2
    assert view.status().fps == pytest.approx(6, rel=0.1)
    assert view.status().age == pytest.approx(2.25)
    now[0] += 4
    assert view.status().fps == 0


def test_health_is_that_of_the_streams():
    with serving() as server:
        assert ask(server, "/healthz")[0] == 503
        server.views["door"].report("running", 0, 0, None)
        status, _, text = ask(server, "/healthz")
        assert (status, json.loads(text)["ill"]) == (200, [*NAMES[1:]])
        server.views["door"].report("lost", 1, 0, "gone")
        status, _, text = ask(server, "/healthz")
        assert (status, json.loads(text)["ill"]) == (503, [*NAMES])


def test_metrics_are_prometheus_text():
    from prometheus_client.parser import text_string_to_metric_families

    with serving() as server:
        server.views["door"].report("running", 2, 5, None)
        server.views["door"].show(None, 4, COUNTS, 0.5)
        server.views[NAMES[1]].report("lost", 1, 0, "gone")
        text = ask(server, "/metrics")[2]
    values = {
        (sample.name, *dict(sorted(sample.labels.items())).values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for name, value in (
        ("up", 1),
        ("frames_total", 1),
        ("tracks", 4),
        ("losses_total", 2),
        ("dropped_frames_total", 5),
    ):
        assert values[f"fairmot_{name}", "door"] == value
    assert values["fairmot_frame_age_seconds", "door"] >= 0.5
    assert values["fairmot_up", NAMES[1]] == 0
    assert ("fairmot_frame_age_seconds", NAMES[1]) not in values
    for direction, count in (("in", 12), ("out", 7)):
        labels = "pedestrian", direction, "entrance", "door"
        assert values["fairmot_line_crossings_total", *labels] == count
    zone = "door", "<i>queue</i>"
    assert values["fairmot_zone_visitors_total", *zone] == 9
    assert values["fairmot_zone_present", *zone] == 3


def test_token_is_asked_for_on_other_addresses():
    with serving(host="0.0.0.0") as server:
        assert urlsplit(server.url).query == f"token={server.token}"
        paths = ("/", "/state.json", "/metrics", "/pictures", "/streams/door.mjpg")
        for path in (*paths, "/elsewhere"):
            for query in ("", "?token=", "?token=wrong", "?token=%C3%A9"):
                assert ask(server, path + query)[0] == 401
            cookie = f"fairmot_token_{server.port}=wrong"
            assert ask(server, path, Cookie=cookie)[0] == 401
        assert ask(server, "/healthz")[0] == 503
        status, headers, text = ask(server, f"/?token={server.token}")
        assert (status, "<title>fairmot</title>" in text) == (200, True)
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        given = cookie.partition(";")[0]
        assert ask(server, "/state.json", Cookie=given)[0] == 200


def test_this_machine_needs_no_token_but_is_asked_for_by_its_name():
    with serving() as server:
        assert server.token is None
        assert server.url == f"http://127.0.0.1:{server.port}/"
        assert ask(server, "/")[0] == 200
        assert ask(server, "/state.json", Host="localhost:1")[0] == 200
        status, _, text = ask(server, "/state.json", Host="cameras.example")
        assert (status, "cameras.example" in text) == (403, True)


@pytest.mark.parametrize("name", NAMES)
def test_multipart_pictures_move(name):
    with serving() as server:
        view = server.views[name]
        assert not view.wanted
        with showing(view), watching(server, f"/streams/{quote(name, '')}.mjpg") as got:
            assert len({grey_of(next_part(got)) for _ in range(3)}) == 3
            assert view.wanted
        wait_for(lambda: not view.wanted)
        status, _, text = ask(server, "/streams/unknown.mjpg")
        assert (status, NAMES[1] in text) == (404, True)


def test_one_connection_has_the_pictures_of_all():
    with serving() as server, watching(server, "/pictures") as answer:
        views = [*server.views.values()]
        wait_for(lambda: all(view.wanted for view in views))
        for grey, view in zip((50, 100, 150), views, strict=True):
            view.show(image(grey), 0, [], 0)
        found = {}
        while len(found) < 3:
            index, size = (int.from_bytes(answer.read(4)) for _ in range(2))
            found[index] = grey_of(answer.read(size))
    assert found == {0: 50, 1: 100, 2: 150}


def test_many_viewers_share_one_encoding(monkeypatch):
    from fairmot_mm.streams import pictures

    encoded = []
    encode = pictures.encode

    def spy(picture: np.ndarray) -> bytes:
        encoded.append(threading.current_thread().name)
        return encode(picture)

    monkeypatch.setattr(pictures, "encode", spy)
    path = "/streams/door.mjpg"
    with serving() as server:
        view = server.views["door"]
        view.show(image(1), 0, [], 0)  # nobody watches
        assert not encoded
        with watching(server, path) as one, watching(server, path) as other:
            wait_for(lambda: view._num_viewers == 2)
            encoded.clear()
            view.show(image(200), 0, [], 0)
            for answer in (one, other):
                while grey_of(next_part(answer)) != 200:
                    pass
    assert len(encoded) == 1
    assert encoded[0].startswith("pictures")


def test_slow_viewers_hold_up_nobody():
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    with serving() as server:
        view, path = server.views["door"], "/streams/door.mjpg"
        with watching(server, path) as slow, watching(server, path) as quick:
            wait_for(lambda: view._num_viewers == 2)
            # Far more than the system's buffers take; the slow one reads none of it.
            for _ in range(30):
                view.show(noise, 0, [], 0)
                next_part(quick)
            view.show(image(7), 0, [], 0)
            while grey_of(next_part(quick)) != 7:
                pass
            # Of what it missed, the slow one gets no more than lay in buffers.
            late = 1
            while grey_of(next_part(slow)) != 7:
                late += 1
            assert late < 20
        wait_for(lambda: not view.wanted)


def test_viewers_who_have_vanished_are_given_up(monkeypatch):
    from fairmot_mm.streams import page_application

    monkeypatch.setattr(page_application, "_SEND_TIMEOUT", 0.2)
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    with serving() as server, watching(server, "/pictures"):  # and reads nothing
        view = server.views["door"]
        wait_for(lambda: view.wanted)

        def given_up() -> bool:
            view.show(noise, 0, [], 0)
            return not view.wanted

        wait_for(given_up)


def test_wide_pictures_are_scaled_down():
    from fairmot_mm.streams.pictures import encode

    data = np.frombuffer(encode(image(0, (1080, 1920))), np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (720, 1280, 3)


def test_viewers_are_cut_off_at_the_end():
    with serving() as server, watching(server, "/pictures") as answer:
        wait_for(lambda: server.views["door"].wanted)
        server.close()
        assert answer.read() == b""
        server.views["door"].show(image(1), 0, [], 0)  # tracking may be late
    with serving(port=server.port) as again:  # the port is free
        assert ask(again, "/")[0] == 200


def test_mistakes_name_the_option():
    with serving() as server:
        expected = rf"--serve {server.port}: .*choose another port"
        with pytest.raises(OSError, match=expected):
            PageServer(NAMES, server.port).start()
    with pytest.raises(OSError, match=r"--serve 0: cannot listen at 192\.0\.2\.1"):
        PageServer(NAMES, 0, "192.0.2.1").start()
    with pytest.raises(ValueError, match="--serve 70000"):
        PageServer(NAMES, 70000)
    with pytest.raises(ValueError, match="differ in name, got a, a"):
        PageServer(["a", "a"], 0)


def test_missing_package_names_the_extra(monkeypatch):
    for name in ("fairmot_mm.streams.page_application",):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"prometheus_client: pip .*\[cameras\]"):
        PageServer(NAMES, 0)


@pytest.fixture
def browser(tmp_path):
    with closing(Browser(tmp_path)) as browser:
        yield browser


def card(name: str) -> str:
    return f"document.querySelector('[data-stream={json.dumps(name)}]')"


def test_page_in_a_browser(browser):
    door, gate, hall = NAMES
    with serving(host="0.0.0.0") as server, showing(server.views[gate]):
        server.views[gate].report("running", 3, 12, None)
        server.views[door].report("lost", 4, 0, "no answer for 10 s")
        address = f"http://127.0.0.1:{server.port}/"
        browser.call("Page.navigate", url=f"{address}?token={server.token}")
        browser.wait_for(f"!!{card(gate)}")

        def text(name: str, selector: str, accept: Callable = bool) -> str:
            script = f"{card(name)}.querySelector({selector!r}).textContent"
            return browser.wait_for(script, accept)

        for figure, value in (("tracks", "2"), ("losses", "3"), ("dropped", "12")):
            text(gate, f"[data-figure={figure}]", lambda got, value=value: got == value)
        text(gate, "[data-figure=fps]", lambda got: float(got) > 0)
        rows = f"[...{card(gate)}.querySelectorAll('tbody tr')]"
        cells = browser.run(f"{rows}.map(r => [...r.cells].map(c => c.textContent))")
        assert cells == [
            ["entrance", "pedestrian", "12", "7"],
            ["<i>queue</i>", "3", "9", "2.5 s", "30 s"],
        ]
        pixel = f"{card(gate)}.querySelector('canvas').getContext('2d')"
        pixel += ".getImageData(5, 5, 1, 1).data[0]"
        seen = {browser.wait_for(pixel)}
        while len(seen) < 3:
            seen.add(browser.wait_for(pixel, lambda grey: grey not in seen))
        assert text(hall, "h2") == hall  # a name is text
        assert browser.run("document.querySelectorAll('h2 b, td i, th i').length") == 0
        assert text(door, ".state") == "lost"
        assert text(door, ".message") == "Stream lostno answer for 10 s"
        assert browser.run(f"{card(door)}.className") == "bad"
        assert "door: lost" in browser.run(
            "document.getElementById('summary').innerText"
        )
        assert browser.run("location.href") == address  # without the token
    browser.wait_for("document.getElementById('connection').textContent")
    assert not server.views[gate].wanted
