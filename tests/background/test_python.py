"""Programs that mean harm, run for real: what they cannot do, and that nothing stays."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from interaction.background.protocol import ToolFinished
from interaction.background.toolbox import Toolbox
from interaction.background.tools.python import HEAD, LIMITS, TAIL, Python
from interaction.errors import InputError

SLOW_S = 20.0  # for what is quick, on a machine that is not
MEMORY = 300 << 20
JAILED = f'"memory_bytes": {MEMORY}'  # in the command of this file's jails alone
BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
print('left')
"""


@pytest.fixture(scope="module")
def granted() -> bool:
    return Python().walled


@pytest.fixture(params=["walled", "bare"])
def how(request, granted) -> bool:
    if request.param == "walled" and not granted:
        pytest.skip("the kernel grants no walls here")
    return request.param == "walled"


@pytest.fixture
def walled(granted) -> Python:
    if not granted:
        pytest.skip("the kernel grants no walls here")
    return python(True)


def python(walled: bool, **limits) -> Python:
    return Python(replace(LIMITS, memory_bytes=MEMORY, **limits), walled=walled)


def run(tool: Python, code: str, longest_s: float = 30.0) -> ToolFinished:
    async def agree(spec, arguments):
        return True

    async def last():
        box = Toolbox([tool], longest_s)
        return [u async for u in box.run("1", "python", {"code": code}, agree)][-1]

    return asyncio.run(last())


def running(mark: str) -> list[str]:
    """Processes whose command holds a mark: a program is in its command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in (command := path.read_bytes().decode(errors="replace")):
                found.append(command)
        except OSError:
            pass
    return found


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path, monkeypatch):
    """No process, no open file, no directory: after every test of this file."""
    kept = tmp_path / "temporary"
    kept.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    asyncio.run(asyncio.sleep(0))
    before = children(), sorted(os.listdir("/proc/self/fd"))
    yield
    assert (children(), sorted(os.listdir("/proc/self/fd"))) == before
    assert not running(JAILED) and not running("# mark")
    assert not list(kept.iterdir())


def test_what_is_printed_comes_back(how):
    tool = python(how)
    assert run(tool, "print(6 * 7)").text == "42"
    assert run(tool, "pass").text == "(it printed nothing)"
    both = run(tool, "import sys; print('a'); print('ü', file=sys.stderr); sys.exit(3)")
    assert both.ok and both.text == "a\nü\n(exit code 3)"
    failed = run(tool, "def f():\n    return 1 / 0\nf()")
    assert "ZeroDivisionError" in failed.text and "(exit code 1)" in failed.text
    assert "EOFError" in run(tool, "print(input())").text  # nobody types
    assert "Bad file descriptor" in run(tool, "import os; os.write(0, b'x')").text


def test_text_that_is_no_program_is_refused(how):
    for code in ("print('\0')", "print('\ud800')"):
        with pytest.raises(InputError, match="code: "):
            asyncio.run(python(how).call({"code": code}))
    assert "arguments.code" in run(python(how), "#" * 20_001).text


def test_an_endless_loop_ends(how):
    begun = time.monotonic()
    text = run(python(how, wall_s=1.0), "print('on')\nwhile True: pass").text
    assert text == "on\n(stopped after 1 s)"
    assert time.monotonic() - begun < SLOW_S


def test_cpu_time_is_limited(how):
    text = run(python(how, cpu_s=1), "while True: pass").text
    assert text in (
        "(exit code 137)",
        "(exit code 152)",
        "(exit code -9)",
        "(exit code -24)",
    )


def test_memory_is_limited(how):
    assert "MemoryError" in run(python(how), f"bytearray({MEMORY})").text
    assert (
        run(python(how), f"print(len(bytearray({MEMORY // 4})))").text == f"{MEMORY // 4}"
    )


def test_files_are_limited(how):
    large = "with open('x', 'wb') as f:\n    for _ in range(9): f.write(bytes(1 << 20))"
    text = run(python(how, disk_bytes=4 << 20), large).text
    assert "File too large" in text or "No space left" in text
    many = "kept = [open(f'{n}', 'w') for n in range(99)]"
    assert "Too many open files" in run(python(how), many).text


def test_disk_is_limited_in_all(walled):
    many = "for n in range(9):\n    open(f'{n}', 'wb').write(bytes(1 << 20))"
    text = run(python(True, disk_bytes=4 << 20), many).text
    assert "No space left" in text


def test_a_fork_bomb_goes_out(walled):
    """Its processes are few, and all are gone: `nothing_stays`."""
    begun = time.monotonic()
    text = run(python(True, wall_s=1.0), "# mark" + BOMB).text
    assert text == "(stopped after 1 s)"
    count = "import os, time\nn = 1\nwhile True:\n    try:\n        pid = os.fork()\n"
    count += (
        "    except OSError:\n        break\n    if not pid: time.sleep(60)\n    n += 1\n"
    )
    assert 2 < int(run(walled, f"{count}print(n)").text) <= LIMITS.processes
    assert time.monotonic() - begun < SLOW_S


def test_who_leaves_the_group_is_ended_too(walled):
    begun = time.monotonic()
    assert run(walled, "# mark" + DAEMON).text == "left"
    assert time.monotonic() - begun < LIMITS.wall_s


def test_a_background_process_of_its_group_is_ended(how):
    code = "# mark\nimport os, time\nif os.fork() == 0:\n    time.sleep(60)\nprint('left')"
    begun = time.monotonic()
    assert run(python(how), code).text == "left"
    assert time.monotonic() - begun < LIMITS.wall_s


@pytest.mark.parametrize("whom", [1, -1, 0])
def test_it_cannot_kill_its_guards(walled, whom):
    code = "import os, signal\nsignal.signal(15, lambda *_: None)\n"
    code += f"try: os.kill({whom}, 15)\nexcept OSError: pass\nprint('on')"
    assert run(walled, code).text == "on"
    begun = time.monotonic()
    text = run(walled, f"import os\nos.kill({whom}, 9)").text
    wanted = {0: "(exit code 137)", 1: "PermissionError", -1: "ProcessLookupError"}
    assert wanted[whom] in text or text == "(it printed nothing)"
    assert time.monotonic() - begun < LIMITS.wall_s


def test_a_long_output_is_not_held(how):
    """Both ends are kept."""
    code = (
        "import sys\nprint('begin')\nfor _ in range(320): sys.stdout.write('x' * 32768)\n"
    )
    tool = python(how)
    run(tool, "pass")
    tracemalloc.start()
    try:
        text = run(tool, f"{code}print('end')").text
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert text.startswith("begin") and text.endswith("end")
    assert f"({320 * 32768 + 10 - HEAD - TAIL} bytes left out)" in text
    assert len(text) < HEAD + TAIL + 100
    assert peak < 2 << 20


def test_an_output_without_end_ends(how):
    text = run(python(how, wall_s=1.0), "while True: print('x' * 9999)").text
    assert text.endswith("(stopped after 1 s)") and len(text) < HEAD + TAIL + 100


def test_the_environment_is_empty(how, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "xyzzy")
    text = run(python(how), "import os; print(sorted(os.environ))").text
    assert text in ("[]", "['LC_CTYPE']")  # which Python itself sets


def test_it_is_isolated(how):
    text = run(python(how), "import sys; print(sys.flags.isolated, sys.flags.no_site)").text
    assert text == "1 1"
    assert "ModuleNotFoundError" in run(python(how), "import numpy").text


def test_files_outside_are_out_of_reach(walled, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("xyzzy")
    tmp_path.chmod(0o777)
    read = run(walled, f"print(open({str(secret)!r}).read())").text
    assert "xyzzy" not in read and "FileNotFoundError" in read
    new = tmp_path / "new"
    folders = f"import os\nos.makedirs({str(tmp_path)!r}, exist_ok=True)\n"
    run(walled, f"{folders}open({str(new)!r}, 'w')")
    assert not new.exists()
    own = "open('own', 'w').write('left')\nprint(open('own').read())"
    assert run(walled, own).text == "left"
    etc = run(walled, "import os\nprint(os.listdir('/etc'))").text
    assert etc == "['ld.so.cache']" or "FileNotFoundError" in etc
    assert "FileNotFoundError" in run(walled, "import os\nos.listdir('/proc')").text


@pytest.mark.parametrize("where", ["os.path.dirname(os.__file__)", "'/usr'", "'/usr/lib'"])
def test_what_is_shared_is_read_only(walled, where):
    """Nor in a user namespace, where it has all rights."""
    again = "import ctypes, os\nlibc = ctypes.CDLL(None)\nlibc.unshare(0x10020000)\n"
    again += f"libc.mount(None, {where}.encode(), None, ctypes.c_ulong(0x1020), None)\n"
    for first in ("import os\n", again):
        text = run(walled, f"{first}open({where} + '/mark', 'w')").text
        assert "Read-only file system" in text or "Permission denied" in text
    flag = run(walled, f"import os\nprint(os.statvfs({where}).f_flag & os.ST_RDONLY)").text
    assert flag == "1"


def test_there_is_no_network(walled):
    """A listener on this machine: reached without walls, and not with them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = "import socket\n"
        code += f"socket.create_connection(('127.0.0.1', {port}), 2)\nprint('in')"
        assert run(python(False), code).text == "in"
        text = run(walled, code).text
        assert "OSError" in text or "ConnectionRefusedError" in text
    interfaces = run(walled, "import socket; print(socket.if_nameindex())").text
    assert interfaces == "[(1, 'lo')]"


def test_it_is_no_user_of_this_machine(walled):
    text = run(walled, "import os; print(os.getuid(), os.getgid(), os.getgroups())").text
    user, group, *_ = text.split()
    assert int(user) >= 20_000 and int(group) >= 20_000
    if os.geteuid() == 0:
        assert text.endswith("[]")


@pytest.mark.parametrize("code", ["while True: pass", BOMB, DAEMON + "time.sleep(60)"])
def test_who_gives_up_leaves_nothing(walled, code):
    """A call that is cancelled, and one that takes the toolbox too long."""

    async def cancelled():
        call = asyncio.create_task(walled.call({"code": f"# mark\n{code}"}))
        for _ in range(2000):
            if any("# mark" in command for command in running("# mark")):
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("it never ran")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not running("# mark")

    asyncio.run(cancelled())
    finished = run(walled, f"# mark\n{code}", longest_s=0.5)
    assert not finished.ok and finished.text == "no answer within 0.5 s"


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01, 0.03, 0.1])
def test_a_call_may_be_cancelled_at_any_time(how, after_s):
    async def cancelled():
        call = asyncio.create_task(python(how).call({"code": "# mark\nwhile True: pass"}))
        await asyncio.sleep(after_s)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancelled())
    deadline = time.monotonic() + SLOW_S
    while running(JAILED) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_programs_run_side_by_side(how):
    async def both():
        tool = python(how)
        calls = [tool.call({"code": f"print({n})"}) for n in range(4)]
        return [result.text for result in await asyncio.gather(*calls)]

    assert asyncio.run(both()) == ["0", "1", "2", "3"]


def test_without_walls_the_user_is_asked(granted):
    assert Python(walled=False).spec.confirm
    assert Python(walled=True).spec.confirm is False
    assert Python().spec.confirm is not granted
