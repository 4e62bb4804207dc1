"""What TensorBoard gets to hear and see of a model in training."""

from __future__ import annotations

import json

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from interaction.package import ASSETS
from interaction.train import media
from interaction.train.metrics import Metrics


def test_a_held_out_dialogue_is_heard_and_drawn(tiny, tiny_params, tmp_path, monkeypatch):
    monkeypatch.setattr(media, "DIALOGUES", (0,))
    monkeypatch.setattr(media, "TURNS", 30)
    metrics = Metrics(tmp_path, 0, 10, 1)
    tokenizer = str(ASSETS / "nano" / "tokenizer.json")
    media.Media(tiny, tokenizer, seed=1).log(metrics, tiny_params, step=4)
    metrics.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (sound,) = events.Audio("dialogue_0")
    assert sound.step == 4 and sound.sample_rate == 16000
    (picture,) = events.Images("dialogue_0")
    assert picture.width > 1000 and picture.height > 200


def test_a_skipped_step_is_logged_without_its_numbers(tmp_path, capsys):
    metrics = Metrics(tmp_path, 0, 10, 1)
    names = ("text", "control", "heard", "flow", "heard_accuracy", "text_accuracy")
    values = dict.fromkeys(names, np.float32(0.5)) | {"loss": np.float32(np.nan)}
    load, bias = np.full((2, 4), np.nan), np.zeros((2, 4))
    values |= {"load": load, "bias": bias}
    metrics.step(1, dict(values), 100, 0.0, "loss or gradient not finite", "0..7")
    metrics.step(2, dict(values, loss=np.float32(0.1), load=bias + 5), 100, 0.0)
    metrics.close()
    first, second = map(json.loads, (tmp_path / "losses.jsonl").read_text().splitlines())
    assert first["loss"] is None and first["rows"] == "0..7"
    assert np.float32(second["loss"]) == np.float32(0.1) and "skipped" not in second
    assert (
        "step 1 skipped: loss or gradient not finite; rows 0..7" in capsys.readouterr().out
    )
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert "router/bias_layer_1" in tags["histograms"]
    assert {"router/max_share_layer_0", "speed/positions_per_s"} <= set(tags["scalars"])
