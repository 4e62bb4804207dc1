"""mini: tens of millions of parameters, for one GPU.

    python -m interaction.train --config=configs/mini.py --workdir=runs/mini

No checkpoint of it is shipped yet.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "mini"

    config.model = ConfigDict()
    m = config.model
    m.vocab = m.vocab_used = 608  # the nano vocabulary
    m.width = 512
    m.layers = 6
    m.global_layers = (5,)
    m.heads = m.local_heads = 8
    m.kv_heads = m.local_kv_heads = 4
    m.head_dim = m.local_head_dim = 64
    m.window = 128
    m.horizon = 768
    m.pinned = 128
    m.global_extent = 512
    m.rel_dim = 16
    m.logit_divisor = 2.0  # width / 256
    m.experts = 16
    m.experts_per_token = 4
    m.shared_experts = 1
    m.expert_width = 256
    m.tensor_shards = 4
    m.route_scale = 2.5
    m.patch_widths = (64, 128, 512)
    m.frame_height = 40
    m.frame_width = 80
    m.frame_period = 5  # one look a second
    m.flow_width = 512
    m.flow_layers = 4
    m.flow_steps = 8
    m.flow_temperature = 0.3
    m.flow_guidance = 1.0
    m.numerics = "invariant"  # or "fast": XLA orders sums as it likes

    config.data = ConfigDict()
    d = config.data
    d.corpus = ""  # a prepared corpus in place of the synthetic world (interaction.data)
    d.seed = 1
    d.turns = 144  # 28.8 s a dialogue; a row is cut where it is full
    d.positions = 1024
    d.audio_out = 256
    d.patches = 96
    d.workers = 14
    d.warm_rows = 10_000
    d.warm_mix = ConfigDict({"echo": 1.0, "arithmetic": 1.0, "silence": 0.1})

    config.train = ConfigDict()
    t = config.train
    t.seed = 0
    t.batch = 32
    t.steps = 20_000
    t.learning_rate = 8e-4
    t.warmup = 500
    t.weight_decay = 0.01
    t.muon = False
    t.moments_dtype = "float32"
    t.clip = 1.0
    t.batch_shards = 8  # parts of a batch that gradients are summed over as a tree
    t.mesh = ConfigDict({"data": 1, "fsdp": 1, "expert": 1, "tensor": 1})
    t.bias_rate = 1e-3
    t.z_loss = 1e-4
    t.flow_weight = 1.0
    t.flow_draws = 4
    t.flow_rows = 2048
    t.flow_t_mean = -0.4
    t.flow_previous_drop = 0.5
    t.flow_hidden_drop = 0.1
    t.heard_weight = 1.0
    t.control_weight = 1.0
    t.remat = False
    t.ema = 0.0  # decay of a moving average of the parameters; 0: none is kept
    t.on_bad_step = "stop"  # or "skip": a loss that is not finite, or a spike
    t.bad_steps = 10  # skipped in a row; one more stops the run
    t.spike = 0.0  # a loss above so many times the median of the last ones; 0: no rule
    t.spike_window = 100
    t.save_every = 500
    t.log_every = 20
    t.media_every = 1_000
    return config
