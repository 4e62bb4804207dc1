"""Random small Inkling models and what Hugging Face `transformers` makes of them.

    pip install -e '.[interop]'
    python tests/interop/oracle.py --seeds 1 4 7 10 --output tests/interop/goldens

renews the committed goldens. Each seed gives a directory: a checkpoint (released names
for even seeds, those of transformers for odd ones), inputs and outputs.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

CONTINUED = 64  # tokens of the greedy continuation
PROMPT = 12


def random_sizes(seed: int) -> dict:
    """Sizes as odd as the architecture allows: what varies from model to model."""
    rng = np.random.default_rng(seed)
    pick = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    layers = int(rng.integers(3, 7))
    kv, local_kv = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    vocab = int(rng.integers(90, 130))
    experts = int(rng.integers(3, 20))
    text = {
        "vocab_size": vocab,
        "unpadded_vocab_size": pick(None, vocab - int(rng.integers(1, 9))),
        "hidden_size": 8 * int(rng.integers(3, 6)),
        "num_hidden_layers": layers,
        "num_attention_heads": kv * int(rng.integers(1, 4)),
        "num_key_value_heads": kv,
        "head_dim": 4 * int(rng.integers(1, 4)),
        "swa_num_attention_heads": local_kv * int(rng.integers(1, 4)),
        "swa_num_key_value_heads": local_kv,
        "swa_head_dim": 4 * int(rng.integers(1, 4)),
        "sliding_window_size": int(rng.integers(4, 14)),
        "d_rel": int(rng.integers(2, 7)),
        "rel_extent": int(rng.integers(6, 24)),
        "log_scaling_n_floor": pick(None, 10, 30),
        "log_scaling_alpha": pick(0.1, 0.3),
        "local_layer_ids": [i for i in range(layers) if rng.random() < 0.6],
        "mlp_layer_types": [pick("dense", "sparse", "sparse") for _ in range(layers)],
        "conv_kernel_size": int(rng.integers(2, 6)),
        "intermediate_size": 8 * int(rng.integers(2, 6)),
        "moe_intermediate_size": 4 * int(rng.integers(2, 6)),
        "n_routed_experts": experts,
        "num_experts_per_tok": int(rng.integers(1, min(experts, 5))),
        "n_shared_experts": int(rng.integers(1, 3)),
        "route_scale": pick(1.0, 2.5, 8.0),
        "logits_mup_width_multiplier": pick(1.0, 3.0, 24.0),
        "rms_norm_eps": pick(1e-6, 1e-5),
        "eos_token_id": None,
        "bos_token_id": None,
    }
    audio = {"n_mel_bins": pick(80, 12), "mel_vocab_size": 16}
    vision = {
        "patch_size": pick(4, 6, 8),
        "temporal_patch_size": pick(2, 2, 4),
        "num_hidden_layers": int(rng.integers(2, 5)),
    }
    ids = {"image_token_id": 80, "audio_token_id": 81}
    return {"text_config": text, "audio_config": audio, "vision_config": vision, **ids}


def build(seed: int):
    """The model with every parameter random, biases, norms and scales included."""
    import torch
    from transformers import InklingConfig, InklingForConditionalGeneration

    torch.manual_seed(seed)
    sizes = random_sizes(seed)
    torch_model = InklingForConditionalGeneration(InklingConfig(**sizes)).eval()
    generator = torch.Generator().manual_seed(seed)
    tensors = [*torch_model.named_parameters(), *torch_model.named_buffers()]
    for name, tensor in tensors:
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            if name.endswith(("norm.weight", "global_scale")):
                tensor.copy_(1 + 0.2 * noise)
            elif "sconv" in name or "correction_bias" in name:
                tensor.copy_(0.3 * noise)
            elif "rel_logits" in name or "embed_tokens" in name:
                tensor.copy_(noise)
            else:
                tensor.copy_(noise / tensor.shape[-1] ** 0.5)
    return torch_model


def inputs(seed: int, config) -> dict[str, np.ndarray]:
    """Token ids past every window, extent and floor; some of them placeholders."""
    rng = np.random.default_rng(1000 + seed)
    text, vision, audio = config.text_config, config.vision_config, config.audio_config
    length = int(rng.integers(40, 70))
    ids = rng.integers(0, 80, (2, length))
    sound, picture = ids.copy(), ids.copy()
    at = np.sort(rng.choice(length, 9, replace=False))
    sound[:, at] = config.audio_token_id
    picture[:, at] = config.image_token_id
    side, frames = vision.patch_size, vision.temporal_patch_size
    assert text.vocab_size > 82
    return {
        "ids": ids,
        "audio_ids": sound,
        "image_ids": picture,
        "dmel": rng.integers(0, 16, (2, 9, audio.n_mel_bins)).astype(np.uint8),
        "patches": rng.normal(size=(2, 9, frames, side, side, 3)).astype(np.float32),
    }


def outputs(torch_model, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Logits for text, text with sound, text with a picture; hidden states and routing
    of the text by layer; a greedy continuation of its beginning."""
    import torch

    layers = torch_model.model.language_model.layers
    hidden, chosen = {}, {}
    hooks = []
    for i, layer in enumerate(layers):
        keep = lambda _, __, out, i=i: hidden.update({i: out})  # noqa: E731
        hooks.append(layer.register_forward_hook(keep))
        if hasattr(layer.mlp, "gate"):
            keep = lambda _, __, out, i=i: chosen.update({i: out[2]})  # noqa: E731
            hooks.append(layer.mlp.gate.register_forward_hook(keep))
    result = {}
    with torch.no_grad():
        ids = torch.tensor(given["ids"])
        result["logits"] = torch_model(input_ids=ids).logits
        for hook in hooks:
            hook.remove()
        result["hidden"] = torch.stack([hidden[i] for i in range(len(layers))])
        if chosen:
            result["chosen"] = torch.stack([c.sort(-1).values for c in chosen.values()])
        dmel = torch.tensor(given["dmel"].astype(np.int64))
        audio = {"input_ids": torch.tensor(given["audio_ids"]), "audio_input_ids": dmel}
        result["audio_logits"] = torch_model(**audio).logits
        pixels = torch.tensor(given["patches"]).flatten(0, 1)
        image = {"input_ids": torch.tensor(given["image_ids"]), "pixel_values": pixels}
        result["image_logits"] = torch_model(**image).logits
        so_far = ids[:1, :PROMPT]
        result["continued"] = torch_model.generate(
            so_far, max_new_tokens=CONTINUED, do_sample=False, use_cache=True
        )[0, PROMPT:]
    return {name: value.numpy() for name, value in result.items()}


def write(seed: int, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    torch_model = build(seed)
    torch_model.save_pretrained(directory, save_original_format=seed % 2 == 0)
    given = inputs(seed, torch_model.config)
    np.savez_compressed(directory / "golden.npz", **given, **outputs(torch_model, given))
    (directory / "generation_config.json").unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    for seed in args.seeds:
        write(seed, args.output / f"seed_{seed}")
        print(args.output / f"seed_{seed}")


if __name__ == "__main__":
    main()
