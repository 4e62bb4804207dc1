"""Chromium without a window, driven over its DevTools protocol
(chromedevtools.github.io/devtools-protocol)."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
         "--remote-debugging-port=0")  # fmt: skip
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation",
  (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""

CONTRASTS = """
(() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => rgb(colour).slice(0, 3).map((x) => x / 255)
    .map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
  };
  const texts = [...document.querySelectorAll("h1, h2, p, li, dt, dd, button, b, time")];
  return texts.filter((x) => x.offsetHeight && x.textContent.trim() && !x.disabled)
    .filter((x) => {
      const both = [getComputedStyle(x).color, behind(x)].map(light);
      const [a, b] = both.sort((p, q) => q - p);
      return (a + 0.05) / (b + 0.05) < 4.5;
    }).map((x) => x.outerHTML);
})()
"""


class Chromium:
    """One page, whose microphone plays `heard` over and over. errors: what it said of
    exceptions and failed requests; sent, received: what went over its WebSockets."""

    def __init__(self, program: str, heard: Path) -> None:
        self.errors: list[str] = []
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self._count = itertools.count()
        self._profile = Path(tempfile.mkdtemp())
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self._profile}",
             f"--use-file-for-fake-audio-capture={heard}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        told = self._profile / "DevToolsActivePort"
        self._until(lambda: told.exists() and len(told.read_text().splitlines()) == 2)
        port, path = told.read_text().split()
        self._socket = connect(
            f"ws://127.0.0.1:{port}{path}", max_size=None, ping_interval=None
        )
        self._session: str | None = None
        target = self("Target.getTargets")["targetInfos"][0]["targetId"]
        found = self("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")
        self("Page.addScriptToEvaluateOnNewDocument", source=VIOLATIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=20)
        shutil.rmtree(self._profile, ignore_errors=True)

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._count)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            got = json.loads(self._socket.recv(timeout=60))
            if got.get("id") == number:
                assert "error" not in got, got
                return got["result"]
            self._note(got.get("method"), got.get("params", {}))

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Log.entryAdded":
            if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(str(params["entry"]))
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.errors.append(str(params))
        elif method in ("Network.webSocketFrameSent", "Network.webSocketFrameReceived"):
            frame = params["response"]
            to = self.sent if method.endswith("Sent") else self.received
            if frame["opcode"] == 2:
                to.append(base64.b64decode(frame["payloadData"]))

    def go(self, url: str) -> None:
        """Afresh: nothing is left of the page before."""
        self("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        for kept in (self.errors, self.sent, self.received):
            kept.clear()
        self("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && document.body.dataset.state")

    def run(self, script: str) -> Any:
        """An expression's value, awaited."""
        answer = self("Runtime.evaluate", expression=script, awaitPromise=True,
                      returnByValue=True, userGesture=True)  # fmt: skip
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 60.0) -> Any:
        """Until the expression is true. -> its value."""
        return self._until(lambda: self.run(script), seconds, script)

    def click(self, selector: str) -> None:
        """As a mouse does, on what lies there."""
        at = self.run(
            f"(() => {{ const box = document.querySelector({selector!r})"
            ".getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left",
                 clickCount=1)  # fmt: skip

    def press(self, key: str, text: str = "") -> None:
        number = {"Tab": 9, "Enter": 13, " ": 32}[key]
        self("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, text=text,
             windowsVirtualKeyCode=number)  # fmt: skip
        self("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def size(self, width: int, height: int, scale: float = 1, phone: bool = False) -> None:
        self("Emulation.setDeviceMetricsOverride", width=width, height=height,
             deviceScaleFactor=scale, mobile=phone)  # fmt: skip

    def choose(self, selector: str, file: Path) -> None:
        """Of a file input."""
        root = self("DOM.getDocument")["root"]["nodeId"]
        node = self("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def names(self) -> list[tuple[str, str]]:
        """Role and name of all that a screen reader finds."""
        nodes = self("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def faint(self) -> list[str]:
        """Texts below WCAG's contrast of 4.5 to 1 against what lies behind them."""
        return self.run(CONTRASTS)

    def prefer(self, **features: str) -> None:
        """CSS media features: prefers_color_scheme="dark"."""
        self("Emulation.setEmulatedMedia", features=[
            {"name": name.replace("_", "-"), "value": value}
            for name, value in features.items()
        ])  # fmt: skip

    def picture(self) -> bytes:
        """PNG of what can be seen."""
        return base64.b64decode(self("Page.captureScreenshot", format="png")["data"])

    def _until(self, true: Any, seconds: float = 30.0, what: str = "") -> Any:
        end = time.monotonic() + seconds
        while not (value := true()):
            assert time.monotonic() < end, (what, self.errors)
            time.sleep(0.1)
        return value
