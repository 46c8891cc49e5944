"""A pass over a tree says what the plain forward pass says on each of its paths."""

import numpy as np

from bursar.backends.speculative.cache import Reading, SequenceCache, Work, read
from bursar.backends.speculative.tree import DraftTree
from bursar.backends.tiny.backend import WEIGHTS
from bursar.backends.tiny.model import Llama

MODEL = Llama.load(WEIGHTS / "tiny-0.3m")
TEXT = [140, 12, 104, 30, 103, 7]


def text_reading(cache: SequenceCache, tokens: list[int], heads: int) -> Reading:
    n = len(tokens)
    places = range(cache.length, cache.length + n)
    return Reading(cache, Work(), tokens, places, np.tri(n, dtype=np.bool_), heads)


def plain(tokens: list[int]) -> np.ndarray:
    return MODEL.forward(np.array([tokens]))[0, -1]


def tree() -> DraftTree:
    made = DraftTree([TEXT[-1]])
    for parent, token in ((0, 11), (0, 12), (1, 13), (2, 14), (3, 15)):
        made.add(parent, token)
    return made


def test_every_node_sees_its_own_path_only():
    cache, grown = SequenceCache(MODEL.config, 20), tree()
    read(MODEL, [text_reading(cache, TEXT[:-1], 1)])
    cache.keep(range(5))
    places = [5 + depth for depth in grown.depths]
    (logits,) = read(MODEL, [Reading(cache, Work(), grown.tokens, places, grown.ancestors(), 6)])
    for node, path in enumerate([[], [11], [12], [11, 13], [12, 14], [11, 13, 15]]):
        np.testing.assert_allclose(logits[node], plain(TEXT + path), atol=1e-4)
    cache.keep([0, 1, 3])  # the root, 11, 13
    (after,) = read(MODEL, [text_reading(cache, [16], 1)])
    np.testing.assert_allclose(after[0], plain([*TEXT, 11, 13, 16]), atol=1e-4)


def test_sequences_of_one_pass_do_not_see_each_other_and_share_the_weights():
    caches = [SequenceCache(MODEL.config, 20) for _ in range(2)]
    readings = [text_reading(c, t, 1) for c, t in zip(caches, (TEXT, TEXT[:3]), strict=True)]
    long, short = read(MODEL, readings)
    np.testing.assert_allclose(long[0], plain(TEXT), atol=1e-4)
    np.testing.assert_allclose(short[0], plain(TEXT[:3]), atol=1e-4)
    alone = text_reading(SequenceCache(MODEL.config, 20), TEXT, 1)
    read(MODEL, [alone])
    weights = 4.0 * (MODEL.matmul_params + MODEL.head_params)
    assert alone.work.bytes_moved - readings[0].work.bytes_moved == weights / 2
    assert alone.work.flops == readings[0].work.flops
