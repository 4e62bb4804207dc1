"""Chat and continuation: the template, the stream to the terminal, sampling."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from interaction import chat, decode
from interaction.errors import InputError
from interaction.interop import transfer
from interaction.jsonfile import read_json
from interaction.package import open_package

GOLDEN = Path(__file__).parent / "interop" / "goldens" / "seed_1"
TEMPLATE = (
    "{% for m in messages %}{{ m.role }} {{ m.content if m.content is string else "
    "m.content[-1].text }} {% endfor %}{% if add_generation_prompt %}model{% endif %}"
)
WORDS = "user model hello system obey say".split()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """An imported model whose tokenizer knows a few words, with a chat template."""
    src = tmp_path_factory.mktemp("source") / "theirs"
    src.mkdir()
    for name in ("model.safetensors", "config.json"):
        (src / name).write_bytes((GOLDEN / name).read_bytes())
    vocab = {w: i for i, w in enumerate(WORDS)}
    size = read_json(src / "config.json")["text_config"]["unpadded_vocab_size"]
    vocab |= {f"w{i}": i for i in range(len(WORDS), size)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="say"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(src / "tokenizer.json"))
    (src / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    dst = src.parent / "ours"
    transfer.import_checkpoint(src, dst)
    return dst


def generate(package: Path, *args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "interaction.generate", f"--checkpoint={package}"]
    return subprocess.run([*command, *args], capture_output=True, text=True)


def test_prompt_goes_through_the_template(package):
    ids = [WORDS.index(w) for w in "system obey user hello model".split()]
    opened = open_package(package)
    prompt = decode.make_prompt(opened.cfg, np.array(ids))
    steps = decode.continuation(opened.params, opened.cfg, prompt, 6)
    want = opened.text.decode([int(t[0]) for t in steps])
    done = generate(package, "--prompt=hello", "--system=obey", "--max_tokens=6")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == want.strip()
    assert "6 tokens" in done.stderr


def test_bad_requests_are_one_line(package, tmp_path):
    (tmp_path / "no.npy").write_text("no array")
    for args in (
        ("--prompt=a", "--ids=b.npy"),
        (f"--ids={tmp_path}/no.npy",),
        (f"--ids={tmp_path}/absent.npy",),
        ("--prompt=hello", f"--image={tmp_path}/no.npy"),
        ("--prompt=hello", "--logits=x.npy"),
    ):
        done = generate(package, *args)
        assert done.returncode == 2, args
        assert done.stderr.count("\n") == 1, done.stderr


def test_template_is_found_and_refuses_by_name(tmp_path):
    assert chat.find_template(tmp_path) is None
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('no tools') }}")
    with pytest.raises(InputError, match="no tools"):
        chat.render(chat.find_template(tmp_path), [{"role": "user", "content": "a"}])


def test_draws_follow_temperature_and_top_p():
    logits = jnp.log(jnp.array([[0.5, 0.3, 0.15, 0.05]]))
    keys = jax.random.split(jax.random.key(0), 400)
    draw = lambda t, p: np.array(  # noqa: E731
        [decode.choose(logits, k, t, p)[0] for k in keys]
    )
    assert set(draw(0.0, 1.0)) == {0}
    assert set(draw(1.0, 0.7)) == {0, 1}
    share = np.bincount(draw(1.0, 1.0), minlength=4) / len(keys)
    np.testing.assert_allclose(share, [0.5, 0.3, 0.15, 0.05], atol=0.08)


def test_ids_are_checked(package):
    cfg = open_package(package).cfg
    for ids, words in (
        (np.array([cfg.vocab]), "0.."),
        (np.array([[0.5]]), "give int"),
        (np.zeros((1, 2, 3), int), "give int"),
    ):
        with pytest.raises(InputError, match=words):
            decode.make_prompt(cfg, ids)
