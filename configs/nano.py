"""nano: a few million parameters, trained on a CPU in about an hour and a half.

    python -m interaction.train --config=configs/nano.py --workdir=runs/nano

The shipped checkpoint's measured scores stand in interaction/assets/nano/card.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "nano"

    config.model = ConfigDict()
    m = config.model
    m.vocab = m.vocab_used = 608  # interaction/assets/nano/tokenizer.json
    m.width = 192
    m.layers = 4
    m.group = 4
    m.global_layers = (3,)
    m.heads = m.local_heads = 4
    m.kv_heads = m.local_kv_heads = 4
    m.head_dim = m.local_head_dim = 48
    m.window = 64  # ten silent turns
    m.horizon = 320  # about nine seconds; rows are longer, so losing the start is learnt
    m.pinned = 128  # not learnt: no dialogue has instructions
    m.global_extent = 256
    m.rel_dim = 16
    m.logit_divisor = 1.0
    m.experts = 8
    m.experts_per_token = 4
    m.shared_experts = 1
    m.expert_width = 64
    m.route_scale = 2.5
    m.patch_widths = (32, 64, 128)
    m.frame_height = 40
    m.frame_width = 80
    m.frame_period = 5  # one look a second
    m.flow_width = 256
    m.flow_layers = 3
    m.flow_steps = 8
    m.flow_temperature = 0.1
    m.flow_guidance = 1.0
    m.tensor_shards = 4
    m.numerics = "invariant"  # or "fast": XLA orders sums as it likes

    config.data = ConfigDict()
    d = config.data
    d.corpus = ""  # a prepared corpus in place of the synthetic world (interaction.data)
    d.seed = 1
    d.turns = 72  # 14.4 s a dialogue; a row is cut where it is full
    d.positions = 512
    d.audio_out = 128  # 50 ms patches of the agent's voice a dialogue
    d.patches = 48
    d.workers = 1
    # First dialogues: mostly the questions that are slowest to learn. Few of the others
    # are enough to keep what they teach.
    d.warm_rows = 13_000
    d.warm_mix = ConfigDict({
        "vision_color": 1.0, "vision_count": 1.0, "arithmetic": 1.2, "echo": 1.0,
        "timed": 0.4, "count": 0.2, "barge_in": 0.2, "side_talk": 0.2, "silence": 0.05,
        "errand": 0.0, "errand_hard": 0.0,  # questions for a background model
    })  # fmt: skip

    config.train = ConfigDict()
    t = config.train
    t.seed = 0
    t.batch = 8
    t.steps = 2_800
    t.learning_rate = 1.5e-3
    t.warmup = 100
    t.weight_decay = 0.01
    t.muon = False
    t.moments_dtype = "float32"
    t.clip = 1.0
    t.batch_shards = 8  # parts of a batch that gradients are summed over as a tree
    t.mesh = ConfigDict({"data": 1, "fsdp": 1, "expert": 1, "tensor": 1})
    t.bias_rate = 1e-3  # router bias, towards equal load
    t.z_loss = 1e-4
    t.flow_weight = 3.0
    t.flow_draws = 4  # (noise, t) pairs a patch
    t.flow_rows = 448  # patches of a batch that the flow loss uses
    t.flow_t_mean = -0.8  # t ~ sigmoid(N(-0.8, 1)): mostly noise
    t.flow_previous_drop = 0.8
    t.flow_hidden_drop = 0.0  # above 0 if the model is to be sampled with guidance
    t.heard_weight = 1.0
    t.control_weight = 1.0
    t.remat = False
    t.ema = 0.0  # decay of a moving average of the parameters; 0: none is kept
    t.on_bad_step = "stop"  # or "skip": a loss that is not finite, or a spike
    t.bad_steps = 10  # skipped in a row; one more stops the run
    t.spike = 0.0  # a loss above so many times the median of the last ones; 0: no rule
    t.spike_window = 100
    t.save_every = 200
    t.log_every = 20
    t.media_every = 1_000
    return config
