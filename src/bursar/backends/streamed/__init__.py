"""The built-in decoder where its weights don't fit: layers come and go while it computes.

window     loads the next layers in a thread, at most so many bytes
decoder    the layers of one sequence, whole or a shard of them
tpi_llm    shards in processes
sealed     layers that are encrypted until they are used
"""

from bursar.backends.streamed.decoder import (
    Ends,
    Matrices,
    StreamedDecoder,
    greedy,
    read_model,
    split_layer,
)
from bursar.backends.streamed.sealed import Sealed, seal, unseal
from bursar.backends.streamed.tpi_llm import ShardedAnswer, TpiLlm
from bursar.backends.streamed.window import WeightWindow

__all__ = [
    "Ends",
    "Matrices",
    "Sealed",
    "ShardedAnswer",
    "StreamedDecoder",
    "TpiLlm",
    "WeightWindow",
    "greedy",
    "read_model",
    "seal",
    "split_layer",
    "unseal",
]
