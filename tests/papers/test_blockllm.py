"""BlockLLM (arXiv:2404.18322): tenants' fine-tunes of the built-in model share blocks."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar import catalog
from bursar.allocate import BlockZoo, Zoo
from bursar.backends.tiny.backend import WEIGHTS
from bursar.backends.tiny.blocks import blocks_of, probabilities
from bursar.backends.tiny.model import Llama, TinyConfig
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.errors import BadInput, Infeasible
from bursar.simulate.block_chains import ChainDevice, ChainRequest, place_chains, simulate_chains
from bursar.workload.tasks import TASKS

Tensors = Mapping[str, NDArray[Any]]
FOLDER = WEIGHTS / "tiny-0.3m"
CONFIG = TinyConfig.from_file(FOLDER / "config.json")
BASE = load_file(FOLDER / "model.safetensors")
TOLERANCE = 0.1
SEEDS = range(3)
DEVICES = 2


@cache
def probes(seed: int) -> Callable[[Tensors], NDArray[np.float64]]:
    """What models say to 24 solved chains."""
    rows = [Tokenizer().encode(text)[:24] for text in solved(seed, 200)]
    return probabilities(CONFIG, [row for row in rows if len(row) == 24][:24])


def solved(seed: int, count: int) -> list[str]:
    """Questions with the base model's own answers."""
    model, tokenizer = Llama(CONFIG, BASE), Tokenizer()
    texts = []
    for question in TASKS["chain"].generate(count // 4, seed=seed):
        ids = tokenizer.encode(question.prompt)
        for _ in range(24):
            ids.append(int(model.forward(np.array([ids]))[0, -1].argmax()))
        texts.append(tokenizer.decode(ids))
    return texts


def changed(a: Tensors, b: Tensors, seed: int) -> float:
    return moved(probes(seed)(a), probes(seed)(b))


def moved(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((np.abs(a - b).sum(-1) / 2) ** 2)))


def tenants(seed: int, strong: float, count: int = 5) -> dict[str, Tensors]:
    """The base model and `count` made from it: a low-rank change in every matrix.

    The norm is 30 % of the matrix' own in a share `strong` of the blocks, 0.5 % in the others.
    """
    family: dict[str, Tensors] = {"base": BASE}
    for tenant in range(count):
        rng = np.random.default_rng([seed, tenant])
        family[f"tenant {tenant}"] = {
            name: tensor + change(tensor, 0.3 if large else 0.005, rng)
            for block in blocks_of(BASE).values()
            for large in [rng.random() < strong]
            for name, tensor in block.items()
        }
    return family


def change(tensor: NDArray[Any], size: float, rng: np.random.Generator) -> NDArray[np.float16]:
    if tensor.ndim < 2:
        return np.zeros_like(tensor)
    low_rank = rng.standard_normal((len(tensor), 2)) @ rng.standard_normal((2, tensor.shape[1]))
    scale = size * np.linalg.norm(tensor.astype(np.float64)) / np.linalg.norm(low_rank)
    return (scale * low_rank).astype(np.float16)


@cache
def zoo_of(seed: int, strong: float) -> Zoo:
    family = {name: blocks_of(tensors) for name, tensors in tenants(seed, strong).items()}
    return BlockZoo(TOLERANCE).share(family, probes(0))


@pytest.mark.parametrize("seed", SEEDS)
def test_less_is_stored_and_outputs_stay_within_the_tolerance(seed: int) -> None:
    zoo = zoo_of(seed, 0.3)
    assert zoo.stored_bytes <= 0.7 * zoo.whole_bytes
    for name, tensors in tenants(seed, 0.3).items():
        assert zoo.changes[name] <= TOLERANCE
        assert changed(zoo.assemble(name), tensors, seed=1) <= 1.2 * TOLERANCE  # not seen before
    apart = [changed(BASE, tensors, seed=1) for tensors in tenants(seed, 0.3).values()]
    assert max(apart) > 2 * TOLERANCE  # the base model would not do for all of them


@pytest.mark.parametrize("seed", SEEDS)
def test_models_that_have_nothing_in_common_share_nothing(seed: int) -> None:
    """Control; and without any tolerance what is equal is shared, and nothing else."""
    apart = zoo_of(seed, 1.0)
    assert apart.stored_bytes >= 0.95 * apart.whole_bytes
    exact = BlockZoo(0.0).share({"a": blocks_of(BASE), "b": blocks_of(BASE)}, probes(0))
    assert exact.stored_bytes == exact.whole_bytes / 2
    assert exact.chains["a"] == exact.chains["b"]


def p95(
    chains: Mapping[str, tuple[str, ...]], sizes: Mapping[str, float], rate: float, seed: int
) -> float:
    """Of 150 requests on two A100s, the first tenants being the most popular.

    Models are 16 GB; whole ones start as many kernels in a pass as chains do.
    """
    rng = np.random.default_rng(seed)
    popularity = {model: 1.0 / (i + 1) for i, model in enumerate(chains)}
    weights = np.array(list(popularity.values()))
    asked = rng.choice(list(chains), 150, p=weights / weights.sum())
    arrivals = np.cumsum(rng.exponential(1 / rate, 150))
    requests = [
        ChainRequest(float(at), str(model), int(rng.integers(100, 800)), int(rng.integers(20, 150)))
        for at, model in zip(arrivals, asked, strict=True)
    ]
    a100 = catalog.device("a100-sxm-80gb")
    starts = 9 / max(len(chain) for chain in chains.values())
    device = ChainDevice(
        memory_bytes=72e9,
        bytes_per_second=0.7 * (a100.memory_bytes_per_second or 0.0),
        flops_per_second=0.7 * a100.flops_per_second("bf16"),
        start_seconds=1e-4 * starts,
    )
    placed = place_chains(chains, sizes, popularity, device.memory_bytes, DEVICES)
    return float(np.quantile(simulate_chains(requests, chains, sizes, placed, device), 0.95))


def served(zoo: Zoo, rate: float, seed: int) -> tuple[float, float]:
    """95th percentile of latency of the zoo's chains, and of whole models."""
    scale = 16e9 * len(zoo.chains) / zoo.whole_bytes
    sizes = {
        name: scale * sum(t.nbytes for t in block.values()) for name, block in zoo.blocks.items()
    }
    whole = {model: (model,) for model in zoo.chains}
    return p95(zoo.chains, sizes, rate, seed), p95(whole, dict.fromkeys(whole, 16e9), rate, seed)


@pytest.mark.parametrize("rate", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_tail_is_shorter_than_with_whole_models(seed: int, rate: float) -> None:
    chains, whole = served(zoo_of(seed, 0.3), rate, seed)
    assert chains < 0.85 * whole


@pytest.mark.parametrize("seed", SEEDS)
def test_chains_that_share_nothing_gain_nothing(seed: int) -> None:
    chains, whole = served(zoo_of(seed, 1.0), 2.0, seed)
    assert chains == pytest.approx(whole, rel=0.05)


STYLES: dict[str, dict[str, str]] = {
    "a": {">": ","}, "b": {">": "/"}, "c": {">": "_"}, "d": {"#": ","},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.torch
def test_real_fine_tunes_share_blocks() -> None:
    """Four tenants who write the working down in their own way; two freeze the lower half.

    The base model never writes so, they nearly always do; and they still do from the zoo.
    """
    pytest.importorskip("torch")
    family: dict[str, Tensors] = {"base": BASE}
    family |= {style: tuned(style, frozen=style in "ab") for style in STYLES}
    models = {name: blocks_of(tensors) for name, tensors in family.items()}
    output = probabilities(CONFIG, [row[:24] for row in styled(1, "abcd", 64) if len(row) >= 24])
    zoo = BlockZoo(TOLERANCE).share(models, output)
    exact = BlockZoo(0.0).share(models, output)
    assert zoo.stored_bytes <= 0.7 * zoo.whole_bytes
    assert zoo.stored_bytes < 0.9 * exact.stored_bytes  # more than what was frozen
    unseen = probabilities(CONFIG, [row[:24] for row in styled(2, "abcd", 64) if len(row) >= 24])
    for style in STYLES:
        own, chain = family[style], zoo.assemble(style)
        assert moved(unseen(own), unseen(chain)) <= 1.2 * TOLERANCE
        assert follows(BASE, style) < 0.1
        assert follows(own, style) > 0.8
        assert follows(chain, style) > follows(own, style) - 0.1


def styled(seed: int, styles: str, count: int) -> list[list[int]]:
    """Solved chains as tokens, in each of the styles in turn."""
    from bursar.training.traces import chain_document, document_ids

    tokenizer, rng = Tokenizer(), random.Random(seed)
    found: list[list[int]] = []
    while len(found) < count:
        ids, _ = document_ids(tokenizer, chain_document(rng))
        if len(ids) <= 48:
            style = STYLES[styles[len(found) % len(styles)]]
            swap = {tokenizer.encode(a)[0]: tokenizer.encode(b)[0] for a, b in style.items()}
            start = ids.index(tokenizer.newline_id)
            found.append(ids[:start] + [swap.get(token, token) for token in ids[start:]])
    return found


def tuned(style: str, *, frozen: bool) -> dict[str, NDArray[Any]]:
    """50 steps of AdamW on 16 documents each."""
    import torch
    from torch.nn import functional as F

    from bursar.training.model import load
    from bursar.training.train import to_tensors

    model = load(FOLDER).train()
    if frozen:
        for layer in [model.model.embed_tokens, *model.model.layers[:2]]:
            layer.requires_grad_(False)
    moving = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=5e-4, weight_decay=0.0)
    documents = iter(styled(7, style, 50 * 16))
    for _ in range(50):
        rows = [next(documents) for _ in range(16)]
        inputs, targets = to_tensors([(ids, [True] * len(ids)) for ids in rows])
        loss = F.cross_entropy(model.logits(model(inputs)).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return {k: v.detach().numpy().astype(np.float16) for k, v in model.state_dict().items()}


def follows(tensors: Tensors, style: str) -> float:
    """Share of a style's own signs that a model expects where they stand, on new documents."""
    model, tokenizer = Llama(CONFIG, dict(tensors)), Tokenizer()
    signs = {tokenizer.encode(sign)[0] for sign in STYLES[style].values()}
    right = []
    for ids in styled(99, style, 30):
        said = model.forward(np.array([ids]))[0].argmax(-1)
        start = ids.index(tokenizer.newline_id)
        right += [said[i] == ids[i + 1] for i in range(start, len(ids) - 1) if ids[i + 1] in signs]
    return float(np.mean(right))


def test_a_sweep_by_hand() -> None:
    """Two models share block x (1 s a pass) and have one of their own (1 s)."""
    device = ChainDevice(10.0, 1.0, 1e9, start_seconds=0.0)
    chains, sizes = {"a": ("x", "a"), "b": ("x", "b")}, {"x": 1.0, "a": 1.0, "b": 1.0}
    both = [ChainRequest(0.0, "a", 5, 2), ChainRequest(0.0, "b", 5, 1)]
    placed = place_chains(chains, sizes, {"a": 2.0, "b": 1.0}, 10.0, 1)
    # x for both, a, b: 3 s; then x and a for the second token of a
    assert simulate_chains(both, chains, sizes, placed, device).tolist() == [5.0, 3.0]
    slow = replace(device, flops_per_second=1.0)  # 10 tokens on x, 5 on b
    assert simulate_chains(both[1:], chains, sizes, placed, slow).tolist() == [10.0]


def test_chains_lie_where_their_blocks_are() -> None:
    chains = {"a": ("x", "a"), "b": ("y", "b"), "c": ("x", "c"), "d": ("y", "d")}
    sizes = {name: 1.0 for chain in chains.values() for name in chain}
    popularity = {"a": 4.0, "b": 4.0, "c": 1.0, "d": 1.0}
    placed = place_chains(chains, sizes, popularity, 3.0, 2)
    assert [sorted(models) for models in placed] == [["a", "c"], ["b", "d"]]
    roomy = place_chains(chains, sizes, popularity, 6.0, 2)
    assert [sorted(models) for models in roomy] == [["a", "b", "c", "d"]] * 2


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadInput, match="tolerance"):
        BlockZoo(1.0)
    with pytest.raises(Infeasible, match="no place"):
        place_chains({"a": ("x",)}, {"x": 2.0}, {"a": 1.0}, 1.0, 3)
    with pytest.raises(BadInput, match="1 or more"):
        place_chains({}, {}, {}, 1.0, 0)
