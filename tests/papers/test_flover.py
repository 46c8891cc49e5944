"""Flover (arXiv:2305.13484): requests that come one by one share each pass over the weights."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bursar.backends.base import Request
from bursar.backends.tiny import FusedRun, open_tiny
from bursar.backends.tiny.engine import Engine, Generation
from bursar.errors import BadInput
from bursar.workload.tasks import TASKS

SEEDS = range(3)


def requests(seed: int, count: int = 32) -> list[Request]:
    """Questions of all tasks, shuffled; greedy, so that rounding can't tip a draw."""
    asked = [
        Request(q.prompt, task.max_tokens, f"{name}/{q.id}", temperature=0.0)
        for name, task in TASKS.items()
        for q in task.generate(-(-count // len(TASKS)), seed=seed)
    ]
    return [asked[i] for i in np.random.default_rng(seed).permutation(len(asked))[:count]]


def staggered(seed: int, count: int) -> list[int]:
    """The step at which each comes: one or two steps apart, sometimes together."""
    gaps = np.random.default_rng(seed).integers(0, 3, count)
    return [int(step) for step in np.cumsum(gaps)]


def fused(
    engine: Engine,
    asked: Sequence[Request],
    arrivals: Sequence[int],
    watch: Callable[[FusedRun, int, int], None] = lambda run, joined, ended: None,
) -> list[Generation]:
    run, said, steps, sent = FusedRun(engine), dict[int, Generation](), 0, 0
    while len(said) < len(asked):
        before = sent
        while sent < len(asked) and arrivals[sent] <= steps:
            assert run.submit(asked[sent]) == sent
            sent += 1
        ended = run.step()
        said |= ended
        steps += 1
        watch(run, sent - before, len(ended))
    return [said[i] for i in range(len(asked))]


def separate(engine: Engine, asked: Sequence[Request]) -> list[Generation]:
    """An instance each. They take turns on the processor, so their work adds up."""
    return [engine.run([request])[0] for request in asked]


class Passes:
    """Counts passes over a model's weights."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, step = 0, engine.model.step

        def counted(*arguments: object) -> object:
            self.count += 1
            return step(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(engine.model, "step", counted)

    def during(self, work: Callable[[], object]) -> int:
        self.count = 0
        work()
        return self.count


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", ["tiny-0.3m", "tiny-1m"])
def test_the_same_tokens_whoever_came_when(size: str, seed: int) -> None:
    engine, asked = open_tiny(size).engine, requests(seed)
    alone, together = separate(engine, asked), fused(engine, asked, staggered(seed, len(asked)))
    for mine, theirs in zip(together, alone, strict=True):
        np.testing.assert_array_equal(mine.tokens, theirs.tokens)
        np.testing.assert_allclose(mine.logprobs, theirs.logprobs, atol=1e-3)
        assert (mine.text, mine.stop_reason) == (theirs.text, theirs.stop_reason)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fifth_of_the_passes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, asked = open_tiny("tiny-0.3m").engine, requests(seed)
    passes = Passes(engine, monkeypatch)
    alone = passes.during(lambda: separate(engine, asked))
    together = passes.during(lambda: fused(engine, asked, staggered(seed, len(asked))))
    assert together < alone / 5
    # control: where none overlap there is nothing to fuse
    apart = passes.during(lambda: fused(engine, asked[:6], range(0, 6 * 500, 500)))
    assert apart == passes.during(lambda: separate(engine, asked[:6]))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["tiny-0.3m", "tiny-1m"])
def test_twice_the_throughput(size: str) -> None:
    """By processor time, side by side, the median of three rounds; the machine may be shared."""
    engine, asked = open_tiny(size).engine, requests(0, 96)
    arrivals = staggered(0, len(asked))

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    ratios = [
        seconds(lambda: separate(engine, asked)) / seconds(lambda: fused(engine, asked, arrivals))
        for _ in range(3)
    ]
    assert np.median(ratios) >= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_memory_is_given_back_at_each_completion(seed: int) -> None:
    engine = open_tiny("tiny-0.3m").engine
    asked = [replace(one, max_tokens=min(one.max_tokens, 30)) for one in requests(seed, 24)]
    held, drops = [0], 0

    def watch(run: FusedRun, joined: int, ended: int) -> None:
        nonlocal drops
        if ended and not joined:
            assert run.buffer_bytes < held[-1]
            drops += 1
        if run.under_way:
            assert run.buffer_bytes % run.under_way == 0
        held.append(run.buffer_bytes)

    fused(engine, asked, staggered(seed, len(asked)), watch)
    assert drops >= 5
    assert held[-1] == 0
    assert max(held) > 0


def test_no_more_run_than_there_are_places() -> None:
    engine = Engine(open_tiny("tiny-0.3m").engine.model, open_tiny().engine.tokenizer, max_batch=3)
    asked, most = requests(0, 9), [0]

    def watch(run: FusedRun, joined: int, ended: int) -> None:
        most.append(run.under_way - len(run.waiting))

    together = fused(engine, asked, [0] * 9, watch)
    assert max(most) == 3
    for mine, theirs in zip(together, separate(engine, asked), strict=True):
        np.testing.assert_array_equal(mine.tokens, theirs.tokens)


def test_stop_strings_and_hidden_states_are_those_of_a_run_alone() -> None:
    engine = open_tiny("tiny-0.3m").engine
    asked = [
        replace(one, stop=("\n",) if i % 2 else (), want_hidden=i % 3 == 0)
        for i, one in enumerate(requests(4, 12))
    ]
    alone, together = separate(engine, asked), fused(engine, asked, staggered(4, 12))
    for mine, theirs in zip(together, alone, strict=True):
        assert (mine.text, mine.stop) == (theirs.text, theirs.stop)
        assert (mine.hidden is None) == (theirs.hidden is None)
        if mine.hidden is not None and theirs.hidden is not None:
            np.testing.assert_allclose(mine.hidden, theirs.hidden, atol=1e-3)


def test_a_request_that_cannot_be_run_is_refused_when_it_comes() -> None:
    run = FusedRun(open_tiny("tiny-0.3m").engine)
    with pytest.raises(BadInput, match="empty"):
        run.submit(Request("", 5, "q"))
    assert run.under_way == 0
    assert run.step() == {}
