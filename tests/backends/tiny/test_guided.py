"""Guided generation: a steer that changes nothing changes nothing; one that forces is obeyed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bursar.backends.base import Request, State, Steering
from bursar.backends.tiny import open_tiny
from bursar.backends.tiny.guided import generate
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.errors import BadInput
from bursar.workload.tasks import TASKS

BACKEND = open_tiny("tiny-0.3m")
ASKED = [
    Request(q.prompt, 60, q.id, temperature=0.7)
    for q in TASKS["chain"].generate(12, seed=3, levels=["1", "2", "3"])
]


@dataclass(frozen=True)
class Nothing:
    """Leaves the logits alone, and counts what it sees."""

    def begin(self, prompts: Sequence[Sequence[int]]) -> Steering:
        said = np.zeros(len(prompts), np.int64)

        def steering(state: State) -> np.ndarray:
            assert (said[state.rows] == state.said).all()
            assert (state.last_logprobs <= 0).all()
            assert (state.left == 60 - state.said).all()
            said[state.rows] += 1
            return state.logits

        return steering


@dataclass(frozen=True)
class Says:
    """Makes every text say `words`, then end."""

    words: str

    def begin(self, prompts: Sequence[Sequence[int]]) -> Steering:
        tokens = [*Tokenizer().encode(self.words), Tokenizer.eos_id]

        def steering(state: State) -> np.ndarray:
            logits = np.full_like(state.logits, -np.inf)
            logits[:, tokens[state.said]] = 0
            return logits

        return steering


def test_without_a_change_it_says_what_the_engine_says() -> None:
    plain = BACKEND.engine.run(ASKED)
    guided = generate(BACKEND.engine, ASKED, Nothing())
    for a, b in zip(plain, guided, strict=True):
        assert a.text == b.text
        assert a.stop_reason == b.stop_reason
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-4)


async def test_forced_tokens_are_said_and_paid_for_at_the_models_own_likelihood() -> None:
    (done,) = await BACKEND.complete([replace(ASKED[0], steer=Says("#12\n"))])
    assert done.text == "#12\n"
    assert done.usage.tokens_out == 4
    assert done.logprob is not None
    assert done.logprob < -1
    assert done.usage.flops is not None
    upper = BACKEND.upper_bound(ASKED[0])
    assert upper.flops is not None
    assert done.usage.flops <= upper.flops


async def test_steered_and_plain_requests_may_come_together() -> None:
    mixed = [ASKED[0], replace(ASKED[0], steer=Says("#1\n")), ASKED[1]]
    done = await BACKEND.complete(mixed)
    plain = await BACKEND.complete(ASKED[:2])
    assert [d.text for d in done] == [plain[0].text, "#1\n", plain[1].text]


def test_time_that_runs_out_ends_a_text_where_it_is() -> None:
    ticks = iter(range(1000))
    asked = [replace(r, seconds=5.0) for r in ASKED]
    done = generate(BACKEND.engine, asked, Nothing(), lambda: float(next(ticks)))
    assert {d.stop_reason for d in done} == {"length"}
    assert all(0 < len(d.tokens) < 10 for d in done)


@pytest.mark.parametrize("extra", [{"stop": ("\n",)}, {"want_hidden": True}])
def test_what_a_steer_does_itself_is_refused(extra: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="leave `stop` and `want_hidden` out"):
        generate(BACKEND.engine, [replace(ASKED[0], **extra)], Nothing())
