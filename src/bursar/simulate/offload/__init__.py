"""Models whose weights don't fit where they are computed with, played on lanes.

weight_stream   blocks of weights loaded in order while others are used, under a cap
tz_llm          ... decrypted on the way, up to the first token
experts         experts of a mixture of experts on CPU and GPU, from recorded routing
hybrid_moe      a mixture of experts streamed to the GPU, attention on the CPU, many requests
"""

from bursar.simulate.offload.experts import (
    ExpertServer,
    GateTrace,
    OffloadRun,
    hit_rate,
    popular_experts,
    replay_routing,
)
from bursar.simulate.offload.hybrid_moe import play_waves
from bursar.simulate.offload.tz_llm import RESTORATIONS, Phone, TzLlm
from bursar.simulate.offload.weight_stream import Block, stream_tasks

__all__ = [
    "RESTORATIONS",
    "Block",
    "ExpertServer",
    "GateTrace",
    "OffloadRun",
    "Phone",
    "TzLlm",
    "hit_rate",
    "play_waves",
    "popular_experts",
    "replay_routing",
    "stream_tasks",
]
