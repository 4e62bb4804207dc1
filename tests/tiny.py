"""A config that compiles in seconds: every kind of layer, all sizes odd or small."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "nano"  # its tokenizer

    config.model = ConfigDict()
    m = config.model
    m.dtype = "float32"
    m.vocab = 616
    m.vocab_used = 608
    m.width = 32
    m.layers = 4
    m.global_layers = (1, 3)
    m.group = 2  # two different groups of two
    m.heads = 4
    m.kv_heads = 2
    m.head_dim = 8
    m.local_heads = m.local_kv_heads = 4
    m.local_head_dim = 8
    m.window = 16
    m.horizon = 64
    m.global_extent = 48
    m.rel_dim = 4
    m.log_floor = 64  # reached in tests
    m.dense_layers = (0,)
    m.dense_width = 48
    m.experts = 4
    m.experts_per_token = 2
    m.expert_width = 16
    m.patch_widths = (8, 8, 16)
    m.flow_width = 32
    m.flow_layers = 1
    m.flow_steps = 2
    m.tensor_shards = 2
    m.numerics = "invariant"
    m.kv_split = 16
    m.pinned = 32

    config.data = ConfigDict()
    d = config.data
    d.corpus = ""
    d.seed = 1
    d.turns = 16
    d.positions = 128
    d.audio_out = 40
    d.patches = 8
    d.workers = 1
    d.warm_rows = 8
    d.warm_mix = ConfigDict({"echo": 1.0})

    config.train = ConfigDict()
    t = config.train
    t.seed = 0
    t.batch = 2
    t.steps = 14
    t.learning_rate = 1e-3
    t.warmup = 2
    t.weight_decay = 0.01
    t.muon = False
    t.moments_dtype = "float32"
    t.clip = 1.0
    t.batch_shards = 2  # parts of a batch that gradients are summed over as a tree
    t.mesh = ConfigDict({"data": 1, "fsdp": 1, "expert": 1, "tensor": 1})
    t.bias_rate = 1e-3
    t.z_loss = 1e-4
    t.flow_weight = 1.0
    t.flow_draws = 2
    t.flow_rows = 32
    t.flow_t_mean = 0.0
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
    t.save_every = 4
    t.log_every = 2
    t.media_every = 0
    return config
