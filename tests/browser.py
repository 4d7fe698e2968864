"""A headless Chromium, spoken to over pipes."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def chromium(folder: Path) -> list[str]:
    """The command of a headless browser that keeps its files in a folder."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here")
    return [program, *OPTIONS, f"--user-data-dir={folder}"]


class Browser:
    """A tab of a browser of its own."""

    def __init__(self, folder: Path, size: tuple[int, int] = (1280, 900)) -> None:
        command = chromium(folder)
        their_input, self._output = os.pipe()
        self._input, their_output = os.pipe()
        # Chromium reads commands from 3 and answers on 4.
        copies = [os.dup(pipe) for pipe in (their_input, their_output)]
        script = f'exec "$@" 3<&{copies[0]} 4>&{copies[1]}'
        window = f"--window-size={size[0]},{size[1]}"
        command += [window, "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=copies,
            stderr=subprocess.DEVNULL,
        )
        for pipe in (their_input, their_output, *copies):
            os.close(pipe)
        self._answers, self._last, self._session = b"", 0, {}
        (target,) = (
            target
            for target in self.call("Target.getTargets")["targetInfos"]
            if target["type"] == "page"
        )
        attached = {"targetId": target["targetId"], "flatten": True}
        session = self.call("Target.attachToTarget", **attached)["sessionId"]
        self._session = {"sessionId": session}

    def call(self, method: str, **arguments):
        self._last += 1
        message = {"id": self._last, "method": method, "params": arguments}
        data = json.dumps(message | self._session).encode()
        os.write(self._output, data + b"\0")
        while True:
            while b"\0" not in self._answers:
                data = os.read(self._input, 1 << 16)
                assert data, "the browser has ended"
                self._answers += data
            text, _, self._answers = self._answers.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script: str):
        arguments = {"expression": script, "returnByValue": True, "awaitPromise": True}
        result = self.call("Runtime.evaluate", **arguments)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str, accept: Callable = bool, seconds: float = 60):
        end = time.monotonic() + seconds
        while not accept(value := self.run(script)):
            assert time.monotonic() < end, f"{script} is still {value!r}"
            time.sleep(0.05)
        return value

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def close(self) -> None:
        self._session = {}
        try:
            self.call("Browser.close")
            self._process.wait(20)
        finally:
            if self._process.poll() is None:
                self._process.kill()
            os.close(self._input)
            os.close(self._output)
