"""A model folder's tensors as blocks, and what such a model says to probes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.backends.tiny.model import Llama, TinyConfig


def blocks_of(tensors: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Tensors by place: attention and MLP of each layer, and the ends (embedding, norm, head)."""
    blocks: dict[str, dict[str, NDArray[Any]]] = {}
    for name in sorted(tensors):
        found = re.match(r"model\.layers\.(\d+)\.(.*)", name)
        place = "ends"
        if found:
            half = "attention" if found[2].startswith(("self_attn", "input_layernorm")) else "mlp"
            place = f"layer {found[1]} {half}"
        blocks.setdefault(place, {})[name] = tensors[name]
    return blocks


def probabilities(
    config: TinyConfig, probes: Sequence[Sequence[int]]
) -> Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float64]]:
    """What a model of some tensors expects after each token of each probe (tokens, vocab).

    Probes are of one length.
    """
    rows = np.array(probes, dtype=np.int64)

    def output(tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        logits = Llama(config, dict(tensors)).forward(rows).reshape(-1, config.vocab)
        logits = logits - logits.max(axis=-1, keepdims=True)
        chances = np.exp(logits.astype(np.float64))
        return np.asarray(chances / chances.sum(axis=-1, keepdims=True))

    return output
