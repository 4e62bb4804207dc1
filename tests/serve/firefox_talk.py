"""A recorded person talks with the page in Firefox, through a sound card of PulseAudio.

    apt-get install firefox-esr pulseaudio pulseaudio-utils
    python -m interaction.serve --checkpoint=nano --slots=1
    python tests/serve/firefox_talk.py --input=question.wav --output=reply.wav \
        --screenshot=page.png

The microphone and the loudspeaker are null sinks: what is played into the one is heard by
Firefox, and what it plays is recorded from the other. Prints what the page says; exit
status 1 when it complains, shows no answer or plays only silence.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from websockets.sync.client import connect

from interaction.errors import InputError, run_command

PREFERENCES = {
    "media.navigator.permission.disabled": True,  # asks nobody for the microphone
    "media.autoplay.default": 0,
    "remote.active-protocols": 1,  # WebDriver BiDi, w3c.github.io/webdriver-bidi
    "browser.shell.checkDefaultBrowser": False,
}
CARD = """\
load-module module-null-sink sink_name=speaker
load-module module-null-sink sink_name=mic
set-default-sink speaker
set-default-source mic.monitor
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
"""
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
LOUD = 1e-3  # root mean square of a reply
SAID = "[...document.querySelectorAll('#transcript .{} p')].map(p => p.textContent).join()"


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > end:
            raise InputError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def running(*command: str, **more: Any) -> Iterator[subprocess.Popen]:
    """A process that does not outlive the block. Raises InputError where it is missing."""
    try:
        process = subprocess.Popen(command, **{**QUIET, **more})
    except FileNotFoundError:
        raise InputError(f"{command[0]} is not here; install it") from None
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def sound_card(directory: Path) -> Iterator[dict[str, str]]:
    """-> an environment whose microphone is what is played into `mic`, and whose
    loudspeaker is `speaker`."""
    socket = directory / "pulse"
    script = directory / "card.pa"
    script.write_text(CARD.format(socket=socket))
    env = os.environ | {
        "HOME": str(directory),
        "PULSE_RUNTIME_PATH": str(directory),
        "PULSE_SERVER": f"unix:{socket}",
    }
    options = ("-n", "--daemonize=no", "--exit-idle-time=-1", f"--file={script}")
    with running("pulseaudio", *options, env=env):
        until(socket.exists, 10, "pulseaudio")
        yield env


class Firefox:
    """One page. complaints: what its console said."""

    def __init__(self, profile: Path) -> None:
        self.complaints: list[str] = []
        self._count = itertools.count()
        told = profile / "WebDriverBiDiServer.json"
        port = until(lambda: told.exists() and told.read_text(), 60, "Firefox")
        address = f"ws://127.0.0.1:{json.loads(port)['ws_port']}/session"
        self._socket = connect(address, max_size=None, ping_interval=None)
        named = self("session.new", capabilities={})["capabilities"]
        self.name = f"{named['browserName']} {named['browserVersion']}"
        self("session.subscribe", events=["log.entryAdded"])
        self._page = self("browsingContext.getTree")["contexts"][0]["context"]

    def __call__(self, method: str, **params: Any) -> Any:
        number = next(self._count)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "log.entryAdded":
                self.complaints.append(str(message["params"]["text"]))
            elif message.get("id") == number:
                if message["type"] == "error":
                    raise InputError(f"Firefox: {message['message']}")
                return message["result"]

    def go(self, url: str) -> None:
        self("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def run(self, script: str) -> Any:
        """As if by a person's hand: pages may begin to sound only then."""
        done = self(
            "script.evaluate", expression=script, target={"context": self._page},
            awaitPromise=True, userActivation=True,
        )  # fmt: skip
        if done["type"] == "exception":
            raise InputError(f"the page: {done['exceptionDetails']['text']}")
        return done["result"].get("value")

    def screenshot(self) -> bytes:
        shot = self("browsingContext.captureScreenshot", context=self._page)
        return base64.b64decode(shot["data"])


def talk(args: argparse.Namespace, directory: Path) -> int:
    profile = directory / "profile"
    profile.mkdir()
    lines = (
        f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()
    )
    (profile / "user.js").write_text("\n".join(lines))
    with sound_card(directory) as env, running(
        args.firefox, "--headless", "--no-remote", "--profile", str(profile),
        "--remote-debugging-port=0", "about:blank", env=env,
    ):  # fmt: skip
        firefox = Firefox(profile)
        firefox.go(args.url)
        firefox.run("document.getElementById('start').click()")
        notice = "document.getElementById('notice').textContent"
        state = "document.body.dataset.state"
        until(lambda: firefox.run(f"{state} === 'live' || {notice}"), 60, "the page")
        record = ("parec", "-d", "speaker.monitor", "--file-format=wav", str(args.output))
        with running(*record, env=env):
            with running("paplay", "-d", "mic", str(args.input), env=env) as played:
                if played.wait():
                    raise InputError(f"{args.input}: paplay cannot play it; give a WAV")
            time.sleep(args.after_s)
        heard, said, told = (
            firefox.run(script)
            for script in (SAID.format("user"), SAID.format("agent"), notice)
        )
        if args.screenshot:
            args.screenshot.write_bytes(firefox.screenshot())
    wave, rate = soundfile.read(args.output, dtype="float32")
    loudness = float(np.sqrt(np.mean(wave**2)))
    print(f"{firefox.name}\nheard: {heard!r}\nsaid: {said!r}\nnotice: {told!r}")
    print(f"played: {len(wave) / rate:.1f} s, root mean square {loudness:.4f}")
    print(f"complaints: {firefox.complaints}")
    return 0 if said and loudness > LOUD and not told and not firefox.complaints else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080/")
    parser.add_argument("--input", type=Path, required=True, help="what the person says")
    parser.add_argument("--output", type=Path, required=True, help="what is played, a WAV")
    parser.add_argument("--screenshot", type=Path, help="of the page at the end, a PNG")
    parser.add_argument("--firefox", default="firefox-esr", help="the program")
    parser.add_argument("--after_s", type=float, default=8.0, help="for the reply")
    args = parser.parse_args()
    if not args.input.is_file():
        raise InputError(f"{args.input}: no such file")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        return talk(args, Path(directory))


if __name__ == "__main__":
    run_command(main)
