"""Synthetic routing of a mixture-of-experts model: favourites, memory, and ties between layers."""

import numpy as np

from bursar.simulate.offload.experts import GateTrace


def synthetic_routing(
    seed: int,
    *,
    tokens: int = 256,
    layers: int = 6,
    experts: int = 16,
    top_k: int = 4,
    step_tokens: int = 1,
    memory: float = 0.9,
    favour: float = 1.0,
    added: float = 0.3,
    ahead: int = 3,
) -> GateTrace:
    """Gates over a hidden state that layers add to: layer-to-layer ties come from sharing it.

    `memory` is the correlation from token to token of half of the hidden state; the other half
    belongs to the token alone, as words do. `favour` scales popularity, which falls like Zipf's
    law over the experts, in an order of each layer's own. Each layer adds `added` standard
    deviations; forecasts apply a gate to the state up to `ahead` layers before it.
    """
    rng = np.random.default_rng(seed)
    topic = np.empty((tokens, 8))
    topic[0] = rng.normal(size=8)
    for t in range(1, tokens):
        topic[t] = memory * topic[t - 1] + np.sqrt(1 - memory**2) * rng.normal(size=8)
    hidden = np.empty((layers, tokens, 16))
    hidden[0] = np.concatenate([topic, rng.normal(size=(tokens, 8))], axis=1)
    for layer in range(1, layers):  # what a layer adds
        hidden[layer] = hidden[layer - 1] + added * rng.normal(size=(tokens, 16))
    gates = rng.normal(size=(layers, 16, experts)) / 4
    popularity = -np.log(np.arange(1, experts + 1)) * favour
    bias = np.stack([rng.permutation(popularity) for _ in range(layers)])

    def speak(seen: np.ndarray) -> np.ndarray:
        logits = np.einsum("lth,lhe->tle", seen, gates[-len(seen) :]) + bias[-len(seen) :]
        scores = np.exp(logits - logits.max(axis=2, keepdims=True))
        return np.asarray(scores / scores.sum(axis=2, keepdims=True))

    scores = speak(hidden)
    choices = np.argsort(-scores, axis=2)[:, :, :top_k].astype(np.int64)
    forecasts = np.zeros((ahead, *scores.shape))
    for d in range(1, ahead + 1):
        forecasts[d - 1, :, d:] = speak(hidden[:-d])
    return GateTrace(choices, scores, forecasts, step_tokens)
