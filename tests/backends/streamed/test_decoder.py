"""Layers that come and go compute what the whole model computes, also cut in shards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from bursar.backends.streamed import (
    Matrices,
    StreamedDecoder,
    WeightWindow,
    greedy,
    read_model,
    split_layer,
)
from bursar.backends.streamed.decoder import split_config
from bursar.backends.tiny.model import Llama
from bursar.errors import BadInput
from llama_folder import write_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with 8 heads that share 4 heads of keys and values."""
    path = tmp_path_factory.mktemp("model")
    return write_llama(path, width=64, hidden=96, layers=3, heads=8, kv_heads=4)


def whole_logits(folder: Path, prompt: np.ndarray, new_tokens: int) -> np.ndarray:
    """Logits (new_tokens, vocab) after each prefix, each in one plain pass."""
    model, tokens, logits = Llama.load(folder), prompt, []
    for _ in range(new_tokens):
        logits.append(model.forward(tokens[None])[0, -1])
        tokens = np.append(tokens, logits[-1].argmax())
    return np.array(logits)


def window(layers: list[Matrices], count: int) -> WeightWindow[Matrices]:
    return WeightWindow(lambda i: layers[i], [1] * len(layers), count)


@pytest.mark.parametrize("seed", range(3))
def test_streamed_is_whole(folder: Path, seed: int) -> None:
    prompt = np.random.default_rng(seed).integers(0, 64, 9)
    config, ends, layers = read_model(folder)
    with window(layers, 1) as one:
        decoder = StreamedDecoder(config, one)
        _, logits = greedy(prompt, 4, ends, decoder.step, config.norm_eps)
    assert np.allclose(logits, whole_logits(folder, prompt, 4), atol=1e-4)


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_add_up_to_the_whole(folder: Path, shards: int) -> None:
    prompt = np.random.default_rng(0).integers(0, 64, 9)
    config, ends, layers = read_model(folder)
    cut = [split_layer(config, layer, shards) for layer in layers]
    parts: list[np.ndarray] = [np.zeros(0)] * shards
    together = Barrier(shards)

    def adding(rank: int) -> Callable[[np.ndarray], np.ndarray]:
        def add_up(part: np.ndarray) -> np.ndarray:
            parts[rank] = part
            together.wait(10)
            total = np.sum(parts, axis=0)
            together.wait(10)
            return total

        return add_up

    def shard(rank: int) -> np.ndarray:
        with window([layer[rank] for layer in cut], 2) as mine:
            decoder = StreamedDecoder(split_config(config, shards), mine, adding(rank))
            return greedy(prompt, 3, ends, decoder.step, config.norm_eps)[1]

    with ThreadPoolExecutor(shards) as pool:
        said = list(pool.map(shard, range(shards)))
    assert all(np.array_equal(logits, said[0]) for logits in said)
    assert np.allclose(said[0], whole_logits(folder, prompt, 3), atol=1e-4)


def test_heads_that_do_not_divide_are_refused(folder: Path) -> None:
    config, _, layers = read_model(folder)
    with pytest.raises(BadInput, match="8 shards of 8 heads, 4 key-value heads"):
        split_layer(config, layers[0], 8)
    with pytest.raises(BadInput, match="is missing"):
        read_model(folder / "nothing")
