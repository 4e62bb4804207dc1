"""Inkling-Small as Thinking Machines released it (276B with its MTP blocks, Apache-2.0).

Two dense layers, then forty sparse ones: 263,724,526,634 parameters without the
multi-token-prediction blocks, beside the parts that make it an interaction model.

    python -m interaction.plan --config=configs/inkling_small.py --mode=count
    python -m interaction.convert import --config=configs/inkling_small.py \\
        --src=Inkling-Small --dst=models/inkling_small
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "inkling_small"

    config.model = ConfigDict()
    m = config.model
    m.vocab = 201_024
    m.vocab_used = 200_058  # o200k and Inkling's specials
    m.width = 4096
    m.layers = 42
    m.group = 6
    m.run = 5
    m.global_layers = tuple(range(5, 42, 6))
    m.heads = m.local_heads = 32
    m.kv_heads = m.local_kv_heads = 8
    m.head_dim = m.local_head_dim = 128
    m.window = 512
    m.horizon = 32_768  # of a conversation; text generation keeps everything
    m.global_extent = 1024
    m.rel_dim = 16
    m.log_floor = 128_000
    m.log_alpha = 0.1
    m.logit_divisor = 16.0  # width / 256
    m.dense_layers = (0, 1)
    m.dense_width = 16_384
    m.experts = 256
    m.experts_per_token = 6
    m.shared_experts = 2
    m.expert_width = 2048
    m.tensor_shards = 8
    m.kv_split = 512
    m.route_scale = 8.0
    m.patch_widths = (128, 320, 4800)
    m.frame_height = 200
    m.frame_width = 320
    m.frame_period = 1
    m.flow_width = 1024
    m.flow_layers = 6
    m.flow_steps = 8
    m.flow_temperature = 0.7
    m.flow_guidance = 1.5
    m.dtype = "bfloat16"
    m.numerics = "invariant"  # or "fast": XLA orders sums as it likes
    return config
