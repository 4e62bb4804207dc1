"""TML-Interaction-Small as we read it: Inkling-Small's geometry with every layer sparse.

276,309,552,682 parameters (12.07B active) beside the flow head, the own-voice embedding,
the heard head and the control rows, which Thinking Machines has not published: those
are ours.

    python -m interaction.plan --config=configs/tml_interaction_small.py --mode=count
    python -m interaction.plan --config=configs/tml_interaction_small.py --mode=train \\
        --topology=v5p:8x8x8
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
    m.run = 5
    m.global_layers = tuple(range(5, 42, 6))
    m.heads = m.local_heads = 32
    m.kv_heads = m.local_kv_heads = 8
    m.head_dim = m.local_head_dim = 128
    m.window = 512
    m.horizon = 32_768  # about ten minutes of talk; ours, not published
    m.pinned = 2048  # some 1,000 tokens of instructions, and the sound between them
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
    m.numerics = "invariant"  # or "fast": XLA orders sums as it likes

    config.data = ConfigDict()
    d = config.data
    d.corpus = ""  # a prepared corpus in place of the synthetic world (interaction.data)
    d.seed = 1
    d.turns = 144  # 28.8 s with the camera on all the time: 8,064 positions at most
    d.positions = 8192
    d.audio_out = 4 * 144
    d.patches = 45 * 144
    d.workers = 8
    d.warm_rows = 0
    d.warm_mix = ConfigDict()

    config.train = ConfigDict()
    t = config.train
    t.seed = 0
    t.batch = 512  # one row a chip: 4.2 million positions
    t.steps = 100_000
    t.learning_rate = 2e-4
    t.warmup = 2_000
    t.weight_decay = 0.1
    t.muon = True  # as Inkling was trained
    t.moments_dtype = "float32"
    t.clip = 1.0
    t.batch_shards = 512
    t.mesh = ConfigDict({"data": 1, "fsdp": 64, "expert": 8, "tensor": 1})
    t.bias_rate = 1e-3
    t.z_loss = 1e-4
    t.flow_weight = 1.0
    t.flow_draws = 2
    t.flow_rows = 512 * 256
    t.flow_t_mean = -0.8
    t.flow_previous_drop = 0.8
    t.flow_hidden_drop = 0.1
    t.heard_weight = 1.0
    t.control_weight = 1.0
    t.remat = True
    t.ema = 0.0  # decay of a moving average of the parameters; 0: none is kept
    t.on_bad_step = "stop"  # or "skip": a loss that is not finite, or a spike
    t.bad_steps = 10  # skipped in a row; one more stops the run
    t.spike = 0.0  # a loss above so many times the median of the last ones; 0: no rule
    t.spike_window = 100
    t.save_every = 500
    t.log_every = 10
    t.media_every = 0
    return config
