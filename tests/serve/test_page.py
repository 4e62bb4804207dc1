"""The page, in a browser that hears a recorded question, before a server of nano."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
import urllib.request
from urllib.error import HTTPError

import msgspec
import numpy as np
import pytest
import soundfile
from PIL import Image

from interaction.package import ASSETS
from interaction.serve import messages as m
from interaction.serve.client import Client

QUESTION_S = (6.4, 11.4)  # of nano's example: "say hammer window white", and a pause
ANSWER = "hammer window white"
STATE = "document.body.dataset.state"
NOTICE = "document.getElementById('notice').textContent"


@pytest.fixture(scope="module")
def nano(serve, tmp_path_factory):
    records = tmp_path_factory.mktemp("records")
    # One slot, as `interaction.talk` has it: compiled once.
    server = serve(f"--record={records}", model="nano", slots=1)
    server.records = records
    return server


@pytest.fixture(scope="module")
def browser(browse, tmp_path_factory):
    wave, rate = soundfile.read(ASSETS / "nano" / "example.wav", dtype="int16")
    first, last = (round(rate * s) for s in QUESTION_S)
    heard = tmp_path_factory.mktemp("heard") / "question.wav"
    soundfile.write(heard, wave[first:last], rate)
    with browse(heard) as chromium:
        yield chromium


@pytest.fixture
def page(browser, nano):
    """Fresh, with the key; ends its conversation."""
    browser.size(1280, 800)
    browser.go(f"http://127.0.0.1:{nano.port}/?key={nano.key}")
    yield browser
    browser.run("sessionStorage.clear()")
    if browser.run(f"{STATE} !== 'idle'"):
        browser.run("document.getElementById('start').click()")
    end = time.monotonic() + 30
    while nano.status("/readyz") != 200:
        assert time.monotonic() < end
        time.sleep(0.1)


def begin(page) -> None:
    page.click("#start")
    page.until(f"{STATE} === 'live'")


def get(nano, path: str, **headers: str):
    url = f"http://127.0.0.1:{nano.port}{path}"
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers))


def test_files_are_told_for_what_they_are(nano):
    types = {"/": "text/html", "/style.css": "text/css", "/main.js": "text/javascript",
             "/worklet.js": "text/javascript", "/icon.svg": "image/svg+xml"}  # fmt: skip
    for path, kind in types.items():
        with get(nano, path) as answer:
            assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
            assert answer.headers["Cache-Control"] == "no-cache"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "microphone=(self)" in answer.headers["Permissions-Policy"]
            mark = answer.headers["ETag"]
        with pytest.raises(HTTPError, match="304"):
            get(nano, path, **{"If-None-Match": mark})
    for path in ("/nothing.js", "/../page.py", "/%2e%2e/page.py", "/v1/nothing"):
        with pytest.raises(HTTPError, match="404"):
            get(nano, path)


def test_a_recorded_question_is_answered(page):
    """By text and by sound, and nothing is amiss meanwhile."""
    begin(page)
    answers = "[...document.querySelectorAll('#transcript .agent p')]"
    page.until(f"{answers}.some((p) => p.textContent.includes('{ANSWER}'))", 120)
    page.until("Number(document.body.dataset.sounded) > 0.5", 60)
    assert page.run("document.querySelector('#transcript .user p').textContent")
    # Both voices' colours are on the timeline.
    seen = page.run(
        "(() => { const c = document.getElementById('timeline');"
        " const at = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let [blue, orange] = [0, 0];"
        " for (let i = 0; i < at.length; i += 4) if (at[i + 3] > 200) {"
        "   blue += at[i + 2] > at[i] + 60; orange += at[i] > at[i + 2] + 60; }"
        " return [blue, orange]; })()"
    )
    assert min(seen) > 300
    compute = page.run("document.querySelector('[data-gauge=compute]').textContent")
    assert int(compute) > 0
    page.click("#start")
    page.until(f"{STATE} === 'idle'")
    assert m.to_server.decode(page.sent[-1]) == m.Close()
    assert page.run("violations") == [] and page.errors == []


def test_what_is_typed_and_shown_reaches_the_server(page, tmp_path):
    picture = tmp_path / "red.png"
    Image.fromarray(np.full((300, 500, 3), (200, 30, 30), np.uint8)).save(picture)
    begin(page)
    page.click("#text")
    page("Input.insertText", text="häh? 你好")
    page.press("Enter", "\r")
    page.choose("#file", picture)
    page.until("document.querySelectorAll('#transcript img, #transcript i').length === 3")
    page.run(
        "(() => { const all = new DataTransfer();"
        " all.items.add(new File(['no picture'], 'broken.png', { type: 'image/png' }));"
        " dispatchEvent(new ClipboardEvent('paste', { clipboardData: all })); })()"
    )
    page.until(f"{NOTICE}.includes('broken.png cannot be read')")
    turns = int(page.run("document.body.dataset.turns"))
    page.until(f"document.body.dataset.turns > {turns + 7}")
    page.click("#camera")
    page.until(f"document.body.dataset.turns > {turns + 22}")
    sent = [m.to_server.decode(each) for each in page.sent]
    heard = [each for each in sent if isinstance(each, m.Hear)]
    assert [each.text for each in heard if each.text] == ["häh? 你好"]
    shown = [each for each in heard if each.pictures]
    opened = [[Image.open(io.BytesIO(x)) for x in each.pictures] for each in shown]
    started = m.to_client.decode(page.received[0])
    # Held up until it has been looked at; then what the camera sees, as often.
    pushed = [pair for pair in opened if pair[0].getpixel((5, 5))[0] > 150]
    assert len(pushed) == started.frame_period
    assert pushed[0][0].size == (133, 80)
    filmed = [x for x, pair in zip(shown, opened, strict=True) if pair not in pushed]
    numbers = [each.turn for each in filmed]
    assert len(numbers) >= 2
    assert min(np.diff(numbers)) >= started.frame_period
    assert any(each.pictures[0] != each.pictures[1] for each in filmed)
    answers = [m.to_client.decode(each) for each in page.received]
    assert not any(isinstance(each, m.Error) for each in answers)
    numbers = [each.turn for each in heard]
    assert numbers == sorted(set(numbers))
    assert page.run("violations") == [] and page.errors == []


def test_a_broken_connection_is_taken_up_again(page):
    page.run(
        "(() => { const Real = WebSocket; window.opened = [];"
        " window.WebSocket = class extends Real {"
        "   constructor(...all) { super(...all); opened.push(this); } } })()"
    )
    begin(page)
    page.until("document.body.dataset.turns > 5")
    page.run("opened[0].close()")
    page.until(f"opened.length > 1 && {STATE} === 'live'")
    turns = int(page.run("document.body.dataset.turns"))
    page.until(f"document.body.dataset.turns > {turns + 3}")
    answers = [m.to_client.decode(each) for each in page.received]
    said = [each.turn for each in answers if isinstance(each, m.Say)]
    assert said == sorted(set(said))
    first, again = (each for each in answers if isinstance(each, m.Started))
    assert first.token == again.token and again.turn >= 5


def test_who_consents_is_recorded_and_may_think_better_of_it(page, nano):
    page.until("!document.getElementById('recording').hidden")
    assert "consent" in page.run("document.getElementById('terms').textContent")
    begin(page)
    page.until("document.body.dataset.turns > 2")
    assert page.run("document.getElementById('state').textContent") == "Live"
    page.click("#start")
    page.until(f"{STATE} === 'idle'")
    assert list(nano.records.iterdir()) == []
    page.click("#consent")
    begin(page)
    page.until("document.getElementById('state').textContent === 'Live, recorded'")
    page.until("document.body.dataset.turns > 2")
    assert len(list(nano.records.iterdir())) == 1
    page.click("#recording button")
    page.until(f"{NOTICE} === 'What was recorded is deleted.'")
    assert list(nano.records.iterdir()) == []
    assert page.errors == []


def test_who_has_no_key_is_asked_for_it(page, nano):
    page.run("sessionStorage.clear()")
    page.go(f"http://127.0.0.1:{nano.port}/")
    page.click("#start")
    for key, says in (("wrong", ""), (nano.key, "no or a wrong key")):
        page.until("document.getElementById('lock').open")
        assert says in page.run("document.getElementById('lock-why').textContent")
        page.until("document.activeElement.id === 'key'")
        page("Input.insertText", text=key)
        page.press("Enter", "\r")
    page.until(f"{STATE} === 'live'")
    page.go(f"http://127.0.0.1:{nano.port}/?key={nano.key}")
    assert nano.key not in page.run("location.href")


def test_a_full_server_says_so(page, nano):
    async def crowd():
        async with Client(f"ws://127.0.0.1:{nano.port}", nano.key):
            await asyncio.to_thread(page.click, "#start")
            says = f"{STATE} === 'idle' && {NOTICE}.includes('all 1 slots')"
            await asyncio.to_thread(page.until, says)

    asyncio.run(crowd())


def test_keys_and_screen_readers_reach_everything(page):
    def tab() -> str:
        page.press("Tab")
        look = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.run(look) == "solid"
        return page.run("document.activeElement.id")

    page.until("!document.getElementById('recording').hidden")
    assert [tab() for _ in range(2)] == ["consent", "start"]
    page.press("Enter", "\r")
    page.until(f"{STATE} === 'live'")
    assert [tab() for _ in range(5)] == ["mute", "camera", "text", "picture", "send"]
    names = page.names()
    for role, name in names:
        if role in ("button", "textbox", "image", "log", "meter", "region"):
            assert name, (role, names)
    buttons = {name for role, name in names if role == "button"}
    assert buttons == {"Stop", "Mute", "Camera", "Send", "Show a picture"}
    assert ("textbox", "Type to the agent") in names
    assert ("status", "") in names and ("log", "Conversation") in names
    page.run("document.getElementById('mute').focus()")
    page.press(" ", " ")
    pressed = "document.getElementById('mute').getAttribute('aria-pressed')"
    assert page.run(pressed) == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone(page, scheme):
    page.size(360, 640, phone=True)
    page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    begin(page)
    page.until("document.body.dataset.turns > 5")
    assert page.run("document.documentElement.scrollWidth") == 360
    heights = page.run(
        "[...document.querySelectorAll('button, input:not([type=checkbox]), label')]"
        ".filter((x) => x.className !== 'unseen')"
        ".map((x) => x.offsetHeight).filter((n) => n)"
    )
    assert min(heights) >= 44
    assert page.faint() == []
    page.prefer(prefers_color_scheme="light")


def test_background_results_are_cards(page):
    event = {"t_s": 65.2, "lane": "background", "kind": "result", "text": "<b>42</b>"}
    page.run(
        "import('/background.js').then(({ Background }) =>"
        f" new Background(document.getElementById('background')).add({json.dumps(event)}))"
    )
    shown = page.run("document.getElementById('background').innerText")
    assert "1:05" in shown and "<b>42</b>" in shown


def test_a_chart_is_a_picture_in_which_no_script_runs(page):
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30">'
        "<script>document.title = 'bad'; parent.bad = 1</script><rect width='9'/></svg>"
    )
    shown = page.run(
        "import('/background.js').then(async ({ Background }) => {"
        " const cards = new Background(document.getElementById('background'));"
        f" cards.draw({{ t_s: 3, title: 'Bars', svg: {json.dumps(svg)} }});"
        " const image = document.querySelector('#background img');"
        " await image.decode();"
        " return [image.naturalWidth, image.alt, typeof window.bad, window.violations]; })"
    )
    assert shown == [40, "Bars", "undefined", []]


def test_a_tool_that_wants_to_act_asks_with_two_buttons(page):
    ask = {"tool": "buy", "about": "buys", "arguments": 'what="<i>"', "seconds": 0.5}
    answers = page.run(
        "import('/background.js').then(async ({ Background }) => {"
        " const cards = new Background(document.getElementById('background'));"
        " const said = [], list = (what) => [...document.querySelectorAll(what)];"
        f" for (const n of [0, 1, 2]) cards.ask({json.dumps(ask)},"
        "   (yes) => said.push([n, yes]));"
        " const [late, no, yes] = list('#background [data-open]');"
        " yes.querySelectorAll('button')[0].click();"
        " no.querySelectorAll('button')[1].click();"
        " await new Promise((done) => setTimeout(done, 700));"
        " return [said, late.innerText, list('#background button').length]; })"
    )
    said, late, buttons = answers
    assert said == [[0, True], [1, False]] and buttons == 0
    assert 'what="<i>"' in late and "not answered in time" in late


def test_messages_are_read_as_they_are_written(page):
    """All forms of MessagePack that the server may write, and what the page writes."""
    given = {
        "n": [0, 127, 128, 65_535, 65_536, 1 << 31, 1 << 40, -1, -32, -33, -200, -70_000,
              -(1 << 40), 0.5, -1e300],
        "s": ["", "é" * 10, "x" * 200, "y" * 70_000], "b": [True, False, None],
        "l": [list(range(20)), list(range(70_000))],
        "m": {str(k): k for k in range(20)}, "last": "whole",
    }  # fmt: skip
    data = base64.b64encode(msgspec.msgpack.encode(given)).decode()
    back = page.run(
        "import('/messagepack.js').then(({ encode, decode }) => {"
        f" const bytes = Uint8Array.from(atob('{data}'), (x) => x.charCodeAt(0));"
        " const value = decode(bytes);"
        " const cut = [1, 100, 1000, bytes.length - 1].map((n) => {"
        "   try { decode(bytes.subarray(0, n)); return 'read'; }"
        "   catch (error) { return error.name; } });"
        " const again = encode({ ...value, bytes: new Uint8Array([1, 2]) });"
        " let text = ''; for (const x of again) text += String.fromCharCode(x);"
        " return [JSON.stringify(value), btoa(text), cut]; })"
    )
    assert json.loads(back[0]) == given
    written = msgspec.msgpack.decode(base64.b64decode(back[1]))
    assert written == given | {"bytes": b"\x01\x02"}
    assert back[2] == ["RangeError"] * 4


def test_sound_changes_its_rate_cleanly(page):
    """A tone stays itself, whatever the sound card's rate; what does not fit is gone."""
    script = """
    import('/resampler.js').then(({ Resampler }) => {
      const run = (from, to, hz) => {
        const resampler = new Resampler(from, to), out = [], some = new Float32Array(50);
        for (let at = 0; at < from; at += 128) {
          resampler.write(Float32Array.from({ length: 128 },
            (_, i) => Math.sin(2 * Math.PI * hz * (at + i) / from)));
          for (let n = some.length; n === some.length;) {
            n = resampler.read(some);
            out.push(...some.subarray(0, n));
          }
        }
        const tone = (i) => Math.sin(2 * Math.PI * hz * i / to);
        const inner = out.slice(200, -200);
        const errors = inner.map((x, i) => Math.abs(x - tone(i + 200)));
        return [out.length / to, Math.max(...errors), Math.max(...inner.map(Math.abs))];
      };
      return [[8000, 16000, 1000], [44100, 16000, 3000], [48000, 16000, 5000],
        [96000, 16000, 440], [16000, 48000, 3000], [16000, 44100, 1000]]
        .map((x) => run(...x)).concat([run(48000, 16000, 9500)]);
    })
    """
    *kept, gone = page.run(script)
    for seconds, error, _ in kept:
        assert 0.98 < seconds <= 1.01 and error < 1e-3
    assert gone[2] < 1e-3


def test_two_clocks_are_kept_together(page):
    """A microphone far too early is cut, one too late mended at once, and the drift of its
    clock is followed; nothing swings."""
    script = """
    import('/pace.js').then(({ Pace }) => {
      const run = (early, drift, n) => {
        const pace = new Pace(40, 2), seen = [];
        let [waiting, rate] = [[], 0];
        for (let k = 0; k < n; k++) {
          seen.push(early);
          waiting.push(pace.came(early + 6 * Math.abs(Math.sin(7 * k))));
          if (waiting.length > 2) {
            const steps = waiting.shift();
            early -= steps.cut;
            rate = steps.rate;
          }
          early -= 200 * (rate - drift);
        }
        return seen;
      };
      return [[190, 0], [-60, 0], [45, 2e-4], [45, -2e-4]].map((x) => run(...x, 2000));
    })
    """
    for seen in page.run(script):
        assert all(30 < x < 60 for x in seen[20:]), seen[:40]
        assert max(seen[-100:]) - min(seen[-100:]) < 1


def test_what_is_cleared_is_not_heard_and_no_microphone_is_all_zeros(page):
    script = """
    (async () => {
      const context = new AudioContext();
      await context.resume();
      await context.audioWorklet.addModule('/worklet.js');
      const one = { channelCount: 1, channelCountMode: 'explicit',
        outputChannelCount: [1] };
      const [ear, mouth] = ['microphone', 'player'].map((name) => {
        const node = new AudioWorkletNode(context, name, one);
        node.connect(context.destination);
        return node;
      });
      const next = (node, true_) => new Promise((done) => {
        node.port.onmessage = ({ data }) => true_(data) && done(data);
      });
      const piece = await next(ear, () => true);
      const tone = Float32Array.from({ length: 80000 }, (_, i) => Math.sin(i / 6) / 2);
      mouth.port.postMessage({ samples: tone, clear: false });
      await next(mouth, ({ sounded }) => sounded > 0.2);
      mouth.port.postMessage({ samples: new Float32Array(3200), clear: true });
      const { sounded } = await next(mouth, ({ peak }) => peak < 1e-4);
      context.close();
      return [sounded, [...piece]];
    })()
    """
    sounded, piece = page.run(script)
    assert 0.2 < sounded < 4
    assert len(piece) == 1600 and len(set(piece)) > 3 and max(map(abs, piece)) <= 4
