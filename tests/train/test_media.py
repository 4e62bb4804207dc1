"""What TensorBoard gets to hear and see of a model in training."""

from __future__ import annotations

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
