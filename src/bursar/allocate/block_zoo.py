"""BlockLLM: fine-tuned models are cut into blocks, and blocks that do the same are stored once.

Paper: Bodun Hu, Jiamin Li, Le Xu, Myungjin Lee, Akshay Jajoo, Geon-Woo Kim, Hong Xu, Aditya Akella,
    "BlockLLM: Multi-tenant Finer-grained Serving for Large Language Models", 2024,
    arXiv:2404.18322; the block zoo and the equivalence of blocks.
Symbols: block zoo -> Zoo.blocks; block chain -> Zoo.chains; equivalence threshold -> tolerance.
Differs: blocks are compared by what exchanging them, after all exchanges before, does to the whole
    model's output on probe inputs, instead of by the cosine of the blocks' own outputs, so that the
    tolerance bounds the chain; each chain lies whole on a device, so none is sent on, and key and
    value caches stay; models of one shape only, without stitching; no surrogates that
    run ahead. Chains are served by simulate/block_chains.py.
Checked: tests/papers/test_blockllm.py: a family of six from the built-in model, and four real
    fine-tunes of it, in at least 30 % fewer bytes, with outputs on inputs not seen before within
    1.2 times the tolerance; models with nothing in common share nothing; the 95th percentile of
    latency is below that of whole models on as many devices, and equal where nothing is shared.
Seed: 96
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.base import Floats
from bursar.errors import BadInput

Block: TypeAlias = Mapping[str, NDArray[Any]]
"""Tensors by name."""
Blocks: TypeAlias = Mapping[str, Block]
"""A model's blocks by their place, such as "layer 3 mlp", in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Zoo:
    """Blocks, each stored once, and for each model the chain of blocks that replaces it."""

    blocks: dict[str, Block]
    chains: dict[str, tuple[str, ...]]
    changes: dict[str, float]
    """How far each chain's output is from its model's on the probes."""
    whole_bytes: int
    """Of all models stored whole."""

    @property
    def stored_bytes(self) -> int:
        """Of all blocks."""
        return sum(_bytes(block) for block in self.blocks.values())

    def assemble(self, model: str) -> dict[str, NDArray[Any]]:
        """All tensors of a model's chain."""
        return {k: v for block in self.chains[model] for k, v in self.blocks[block].items()}


@dataclass(frozen=True, slots=True)
class BlockZoo:
    """`tolerance`: how far a model's output may move, as root-mean-square total variation.

    A mean would let a chain lose the few tokens that a model was tuned for. 0 shares only what
    changes nothing. Raises `BadInput` unless it is in [0, 1).
    """

    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise BadInput(f"tolerance = {self.tolerance}; a total variation in [0, 1)")

    def share(
        self, family: Mapping[str, Blocks], output: Callable[[Mapping[str, NDArray[Any]]], Floats]
    ) -> Zoo:
        """A zoo of `family`; the first model's blocks are all kept as they are.

        `output` gives the probabilities (probes, classes) that a model of these tensors assigns.
        For each model, places are tried in the order of how little an exchange alone would change.
        """
        blocks: dict[str, Block] = {}
        stored: dict[str, list[str]] = {}
        chains: dict[str, tuple[str, ...]] = {}
        changes: dict[str, float] = {}
        for name, model in family.items():
            own = output(_tensors(model))
            chosen = {place: f"{name}: {place}" for place in model}
            now, change = dict(model), 0.0
            offers = sorted(
                (_change(own, output(_tensors({**model, place: blocks[other]}))), place, other)
                for place in model
                for other in stored.get(place, [])
            )
            for alone, place, other in offers:
                if alone > self.tolerance or chosen[place] in blocks:
                    continue
                tried = {**now, place: blocks[other]}
                if (moved := _change(own, output(_tensors(tried)))) <= self.tolerance:
                    now, change, chosen[place] = tried, moved, other
            for place, block in chosen.items():
                if block not in blocks:
                    blocks[block] = model[place]
                    stored.setdefault(place, []).append(block)
            chains[name], changes[name] = tuple(chosen.values()), change
        whole = sum(_bytes(block) for model in family.values() for block in model.values())
        return Zoo(blocks, chains, changes, whole)


def _tensors(model: Blocks) -> dict[str, NDArray[Any]]:
    return {name: tensor for block in model.values() for name, tensor in block.items()}


def _change(own: Floats, other: Floats) -> float:
    """Total variation between rows; the root of its mean square, so that few large ones count."""
    return float(np.sqrt(np.mean((np.abs(own - other).sum(axis=-1) / 2) ** 2)))


def _bytes(block: Block) -> int:
    return sum(tensor.nbytes for tensor in block.values())
