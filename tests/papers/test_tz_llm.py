"""TZ-LLM (arXiv:2511.13717): restoring weights beside computing brings the first token sooner."""

import hashlib
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bursar.backends.streamed import (
    Sealed,
    StreamedDecoder,
    WeightWindow,
    greedy,
    read_model,
    seal,
    unseal,
)
from bursar.errors import Infeasible
from bursar.simulate.offload import RESTORATIONS, Block, Phone, TzLlm
from llama_folder import write_llama

EVEN = Phone(2e9, 2e9, 2e9, 0.5e-9)
PAPER = Phone(8e9 / 4.2, 2e9, 8e9 / 0.9, 3.0 / 8e9)
"""8 GB of Llama-3-8B: 4.2 s to allocate, 4 s to read, 0.9 s to decrypt, about 3 s to compute."""


def layers(phone: Phone, seed: int, count: int = 32, total_bytes: float = 8e9) -> list[Block]:
    """Blocks of uneven size, as embeddings, attention and feed-forward matrices are."""
    share = np.random.default_rng(seed).uniform(0.7, 1.3, count)
    return [phone.block(float(x)) for x in share / share.sum() * total_bytes]


def saved(blocks: list[Block], memory_bytes: float, resident_bytes: float = 0.0) -> float:
    """Share of the time to the first token, both restorations with the same cap and residents."""
    took = {
        name: make(resident_bytes).restore(blocks, memory_bytes)
        for name, make in RESTORATIONS.items()
    }
    assert all(run.peak_bytes <= memory_bytes * (1 + 1e-9) for run in took.values())
    return 1 - took["pipelined"].makespan_seconds / took["sequential"].makespan_seconds


@pytest.mark.parametrize("cap", [0.25, 0.5, 1.0])
def test_first_token_70_percent_sooner_where_stages_are_even(cap: float) -> None:
    for seed in range(3):
        assert saved(layers(EVEN, seed), cap * 8e9) >= 0.70


def test_never_more_than_the_busiest_stage_allows_and_nearly_that() -> None:
    """The paper's phone: allocation is 35 % of all, so 65 % is the most; residents raise it."""
    for seed in range(3):
        blocks = layers(PAPER, seed)
        stages = np.array([(*b.load_seconds, *b.use_seconds) for b in blocks])
        most = 1 - stages.sum(axis=0).max() / stages.sum()
        assert most - 0.05 < saved(blocks, 8e9) <= most
        restored = TzLlm(2e9).restore(blocks, 8e9).makespan_seconds
        sequential = TzLlm(pipelined=False).restore(blocks, 8e9).makespan_seconds
        assert 1 - restored / sequential >= 0.70


def test_nothing_gained_where_one_stage_is_all_the_work() -> None:
    """Control: a slow NPU hides everything, and then there is nothing worth hiding."""
    slow = Phone(1e12, 1e12, 1e12, 1e-9)
    for seed in range(3):
        assert saved(layers(slow, seed), 8e9) < 0.01


def test_a_cap_of_one_block_is_serial() -> None:
    blocks = [EVEN.block(1e9)] * 4
    assert saved(blocks, 1e9) == pytest.approx(0.0)
    with pytest.raises(Infeasible, match="too little"):
        TzLlm().restore(blocks, 0.9e9)


def test_less_memory_is_never_sooner() -> None:
    blocks = layers(EVEN, 0)
    took = [TzLlm().restore(blocks, cap * 8e9).makespan_seconds for cap in (0.06, 0.1, 0.2, 1.0)]
    assert took == sorted(took, reverse=True)


KEY = b"a key that only the trusted world has"


def first_token(folder: Path, sealed: list[Sealed], *, ahead: bool) -> tuple[np.ndarray, float]:
    """Logits after 800 tokens, and the seconds it took with at most two layers decrypted."""
    config, ends, _ = read_model(folder)
    sizes = [len(x.content) for x in sealed]
    begin = time.perf_counter()
    with WeightWindow(
        lambda i: unseal(sealed[i], KEY), sizes, 2 * max(sizes), ahead=ahead
    ) as window:
        decoder = StreamedDecoder(config, window)
        prompt = np.arange(800) % config.vocab
        _, logits = greedy(prompt, 1, ends, decoder.step, config.norm_eps)
        took = time.perf_counter() - begin
        assert window.peak_bytes <= 2 * max(sizes)
    return logits, took


def sealed_layers(folder: Path) -> list[Sealed]:
    return [seal(x, KEY, bytes([i])) for i, x in enumerate(read_model(folder)[2])]


def test_decrypted_ahead_the_output_is_the_same(tmp_path: Path) -> None:
    folder = write_llama(tmp_path, width=64, hidden=128, layers=6, heads=4)
    sealed = sealed_layers(folder)
    plain = read_model(folder)[2]
    assert sealed[0].content[:64] != plain[0]["qkv"].tobytes()[:64]
    assert all(np.array_equal(unseal(sealed[3], KEY)[m], plain[3][m]) for m in plain[3])
    ahead, _ = first_token(folder, sealed, ahead=True)
    serial, _ = first_token(folder, sealed, ahead=False)
    assert np.array_equal(ahead, serial)


def second_core_is_free() -> bool:
    """Whether two threads that hash take about as long as one, at this moment."""

    def seconds(threads: int) -> float:
        hashing = [
            threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", KEY, KEY, 200_000))
            for _ in range(threads)
        ]
        begin = time.perf_counter()
        for thread in hashing:
            thread.start()
        for thread in hashing:
            thread.join()
        return time.perf_counter() - begin

    return seconds(2) < 1.4 * seconds(1)


@pytest.mark.slow
def test_decrypting_while_computing_is_faster(tmp_path: Path) -> None:
    """Two threads, for real; about 0.6 of the serial time with two free cores.

    Tries count only while a second core is free before and after, as other programs want it too.
    """
    folder = write_llama(tmp_path, width=512, hidden=1408, layers=4, heads=8)
    sealed = sealed_layers(folder)
    ratios: list[float] = []
    for _ in range(8):
        if second_core_is_free():
            serial, ahead = (first_token(folder, sealed, ahead=x)[1] for x in (False, True))
            if second_core_is_free():
                ratios.append(ahead / serial)
        if len(ratios) == 3:
            break
    if not ratios:
        pytest.skip("no second core was free for as long as a run takes")
    assert np.median(ratios) < 0.85
