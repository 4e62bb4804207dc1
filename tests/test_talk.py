"""The talk command: bad input ends in one line, code 2, and nothing left behind."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from interaction.errors import InputError
from interaction.recording import Recording
from interaction.talk import main, read_typed
from interaction.view import PlainView, level


def wav(path, seconds=0.4):
    soundfile.write(path, np.zeros(int(16000 * seconds), np.float32), 16000)
    return path


def talk(tmp_path, *arguments):
    """Run the command in an empty directory with every output asked for."""
    work = tmp_path / "work"
    work.mkdir()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    outputs = [f"--{k}=out/{k}{e}" for k, e in OUTPUTS.items()]
    done = subprocess.run(
        [sys.executable, "-m", "interaction.talk", *arguments, *outputs],
        cwd=work,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done, sorted(p.name for p in work.iterdir())


OUTPUTS = {"output": ".wav", "mix": ".wav", "timeline": ".png", "report": ".json"}


def bad_inputs(directory):
    good = wav(directory / "good.wav")
    (directory / "empty.wav").write_bytes(b"")
    (directory / "text.wav").write_text("It was a dark and stormy night.\n" * 20)
    nan = np.zeros(4000, np.float32)
    nan[100] = np.nan
    soundfile.write(directory / "nan.wav", nan, 16000, subtype="FLOAT")
    return {
        "empty": ([f"--input={directory / 'empty.wav'}"], "empty.wav"),
        "text": ([f"--input={directory / 'text.wav'}"], "text.wav"),
        "nan": ([f"--input={directory / 'nan.wav'}"], "NaN"),
        "missing": ([f"--input={directory / 'absent.wav'}"], "absent.wav"),
        "checkpoint": ([f"--input={good}", "--checkpoint=no-such-one"], "no-such-one"),
        "option": ([f"--input={good}", "--colour=red"], "--colour"),
        "video": (
            [f"--input={good}", f"--video={directory / 'text.wav'}"],
            "text.wav",
        ),
        "typed": ([f"--input={good}", f"--text={directory / 'text.wav'}"], "text.wav"),
    }


@pytest.mark.parametrize(
    "case",
    ["empty", "text", "nan", "missing", "checkpoint", "option", "video", "typed"],
)
def test_bad_input_ends_in_one_line(tmp_path, case):
    arguments, names = bad_inputs(tmp_path)[case]
    done, left = talk(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    assert names in lines[0]
    assert done.stdout == "" and left == []


@pytest.mark.parametrize(
    "arguments, says",
    [
        ([], "--input"),
        (["--input={wav}", "--mic"], "not both"),
        (["--input={wav}", "--tail=-1"], "--tail"),
        (["--input={wav}", "--tail=inf"], "--tail"),
        (["--input={wav}", "--seed=-1"], "--seed"),
        (["--input={wav}", "--output=a.txt"], "a.txt"),
        (["--input={wav}", "--timeline=a.wav"], "a.wav"),
        (["--input={wav}", "--output={wav}"], "also an input"),
    ],
)
def test_wrong_options(tmp_path, arguments, says):
    path = wav(tmp_path / "a.wav")
    with pytest.raises(InputError, match=says):
        main([argument.format(wav=path) for argument in arguments])
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_typed_words(tmp_path):
    path = tmp_path / "typed.jsonl"
    path.write_text('{"t_s": 2, "text": "b"}\n\n{"t_s": 0.5, "text": "a"}\n')
    assert [tuple(entry) for entry in read_typed(path)] == [(0.5, "a"), (2.0, "b")]


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "[1, 2]",
        '{"t_s": 1}',
        '{"t_s": -1, "text": "a"}',
        '{"t_s": NaN, "text": "a"}',
        '{"t_s": 1, "text": 2}',
        '{"t_s": 1, "text": "a", "lane": "b"}',
    ],
)
def test_bad_typed_words_name_the_line(tmp_path, line):
    path = tmp_path / "typed.jsonl"
    path.write_text('{"t_s": 0, "text": "fine"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"typed\.jsonl:2"):
        read_typed(path)


def output(value: float, compute_ms: float = 20.0, **fields):
    return SimpleNamespace(
        audio=np.full(3200, value, np.float32),
        compute_ms=compute_ms,
        **{"text": "", "heard": [], "events": [], "cleared": False, **fields},
    )


def test_reply_is_one_turn_behind_the_input(tmp_path):
    reply, mix = tmp_path / "reply.wav", tmp_path / "mix.wav"
    with Recording(reply, mix, 3200) as recording:
        for k in range(3):
            user = np.full(3200, -0.1 * (k + 1), np.float32)
            recording.turn(user, output(0.1 * (k + 1)), 0)
    said = soundfile.read(reply)[0].reshape(4, 3200)
    left, right = soundfile.read(mix)[0].T.reshape(2, 4, 3200)
    np.testing.assert_allclose(said[:, 0], [0, 0.1, 0.2, 0.3], atol=1e-4)
    np.testing.assert_allclose(left[:, 9], [-0.1, -0.2, -0.3, 0], atol=1e-4)
    np.testing.assert_array_equal(right, said)


def test_figures_leave_warmup_out():
    recording = Recording(None, None, 3200)
    for k in range(300):
        ms = 5000.0 if k < 5 else 10.0 if k < 150 else 30.0
        compiles = min(k, 5) if k < 200 else 7
        heard = [[], [" he"], [], [], ["llo"]][k] if k < 5 else []
        recording.turn(
            np.zeros(3200, np.float32),
            output(0, ms, heard=heard, text=" ten" if k in (4, 9) else ""),
            compiles,
        )
    figures = recording.figures(compiles=7, turn_ms=200)
    assert figures["turns"] == 300
    assert figures["compute_head_p50_ms"] == 10 and figures["compute_tail_p50_ms"] == 30
    assert figures["compute_ms"]["max"] == 30
    assert figures["compiles_after_warmup"] == 3  # 4 by the end of turn 5, 7 at the end
    assert figures["realtime_factor"] == pytest.approx(20.17 / 200, rel=0.01)
    assert figures["text"] == "ten ten" and figures["heard"] == "hello"


def test_compiles_are_counted():
    import jax
    import jax.numpy as jnp

    from interaction.recording import CompileCounter

    x = jnp.zeros(13)
    with CompileCounter() as counter:
        step = jax.jit(lambda x: x * 2 + 1)
        step(x).block_until_ready()
        first = counter.count
        step(x).block_until_ready()
        assert counter.count == first > 0


def test_meter():
    assert level(np.zeros(3200, np.float32)) == 0
    assert level(np.ones(3200, np.float32)) == 1
    assert level(np.full(3200, 10**-1.5, np.float32)) == pytest.approx(0.5)


def test_plain_view_prints_only_when_something_happens(capsys):
    with PlainView() as view:
        view.turn(0.2, np.zeros(3200), output(0))
        view.turn(0.4, np.zeros(3200), output(0, heard=["two"], text=" ten"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and "two" in lines[0] and "ten" in lines[0]
