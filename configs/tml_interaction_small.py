"""TML-Interaction-Small as we read it: Inkling-Small's geometry with every layer sparse.

276,309,552,682 parameters (12.07B active) beside the flow head, the own-voice embedding,
the heard head and the control rows, which Thinking Machines has not published: those
are ours.

    python -m interaction.plan --config=configs/tml_interaction_small.py --mode=count
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "tml_interaction_small"

    config.model = ConfigDict()
    m = config.model
    m.vocab = 201_024
    m.vocab_used = 200_058  # o200k and Inkling's specials
    m.width = 4096
    m.layers = 42
    m.group = 6
    m.global_layers = tuple(range(5, 42, 6))
    m.heads = m.local_heads = 32
    m.kv_heads = m.local_kv_heads = 8
    m.head_dim = m.local_head_dim = 128
    m.window = 512
    m.horizon = 32_768  # about ten minutes of talk; ours, not published
    m.global_extent = 1024
    m.rel_dim = 16
    m.log_floor = 128_000
    m.log_alpha = 0.1
    m.logit_divisor = 16.0  # width / 256
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
    return config
