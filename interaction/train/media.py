"""What the model sounds like while it trains: a held-out dialogue, run freely."""

from __future__ import annotations

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from interaction import model, timeline
from interaction.config import ModelConfig
from interaction.data import world
from interaction.explore import play
from interaction.modality import waveform
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.text import Text
from interaction.package import ASSETS, Package
from interaction.params import Params, abstract
from interaction.session import Session
from interaction.train.metrics import Metrics

TURNS = 64
DIALOGUES = (0, 1)  # of the held-out voices, by number


class Media:
    """Compiles one session, at the first use, and gives it new parameters each time."""

    def __init__(self, cfg: ModelConfig, tokenizer: str, seed: int) -> None:
        self._cfg, self._tokenizer, self._seed = cfg, tokenizer, seed

    @cached_property
    def _session(self) -> Session:
        blank = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype), abstract(model.specs(self._cfg))
        )
        directory = ASSETS / "nano"
        wave = waveform.load(directory / "waveform.safetensors")
        text = Text.open(self._tokenizer)
        return Session(Package(self._cfg, blank, text, wave, directory))

    def log(self, metrics: Metrics, params: Params, step: int) -> None:
        """Stereo sound (user left, agent right) and the timeline, to TensorBoard."""
        session = self._session
        session.package = session.package._replace(params=params)
        for number in DIALOGUES:
            dialogue = world.dialogue(
                self._seed, number, split="held_out_voices", turns=TURNS
            )
            talk = play(session, dialogue)
            compute = [out.compute_ms for out in talk.outputs]
            events = [event for out in talk.outputs for event in out.events]
            figure = timeline.draw(dialogue.user, talk.agent, events, compute)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())[..., :3]
            metrics.picture(f"dialogue_{number}", pixels, step)
            both = np.stack([dialogue.user, talk.agent], axis=1)
            metrics.audio(f"dialogue_{number}", both, SAMPLE_RATE, step)
