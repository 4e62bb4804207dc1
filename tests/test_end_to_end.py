"""User stories through the commands: talk to a recording, look at what came of it."""

from __future__ import annotations

import json

import numpy as np
import soundfile

from interaction import talk
from interaction.data import listen


def test_talk_to_a_dialogue_with_a_camera(tiny_package, tmp_path, monkeypatch, capsys):
    """Render a held-out dialogue, play it to a model, get reply, mix, picture, report."""
    arguments = ["listen", "--seed=42", "--index=34", "--split=held_out_voices"]
    arguments += ["--turns=40", "--no-echo", f"--output={tmp_path}"]
    monkeypatch.setattr("sys.argv", arguments)
    assert listen.main() == 0
    talk.main(
        [
            f"--checkpoint={tiny_package}",
            f"--input={tmp_path}/user.wav",
            f"--output={tmp_path}/reply.wav",
            f"--mix={tmp_path}/both.wav",
            f"--timeline={tmp_path}/session.png",
            f"--report={tmp_path}/report.json",
            "--tail=0.4",
        ]
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["turns"] == 42 and report["compiles_after_warmup"] == 0
    assert report["schema"] == "interaction.talk/1"
    for key in ("config", "git", "hardware", "compute_ms", "rss_growth_bytes", "events"):
        assert key in report
    reply, rate = soundfile.read(tmp_path / "reply.wav")
    both, _ = soundfile.read(tmp_path / "both.wav")
    assert rate == 16000 and len(reply) == 43 * 3200
    assert (reply[:3200] == 0).all()
    user, _ = soundfile.read(tmp_path / "user.wav")
    np.testing.assert_allclose(both[: len(user), 0], user, atol=2e-4)
    np.testing.assert_allclose(both[:, 1], reply, atol=2e-4)
    assert (tmp_path / "session.png").stat().st_size > 10_000
    assert not list(tmp_path.glob(".tmp-*"))
