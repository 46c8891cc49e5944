"""What the gates of the built-in mixture of experts say on held-out questions."""

from functools import cache
from typing import Literal

import numpy as np

from bursar.backends.moe import MOE_WEIGHTS, MixtureOfExperts
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.simulate.offload.experts import GateTrace
from bursar.workload.expert_routing import recorded
from bursar.workload.tasks import TASKS

FIT, HELD_OUT = recorded()


def recorded_routing(
    third: int,
    part: Literal["prompts", "answers"],
    *,
    tokens: int,
    step_tokens: int = 1,
    together: int = 1,
) -> GateTrace:
    """The first `tokens` of one third of the held-out questions, with forecasts 3 layers ahead.

    `together` answers are written side by side, a token of each in turn, until the shortest ends.
    """
    scores, prompt = _gates()
    questions = np.random.default_rng(0).permutation(np.unique(HELD_OUT.question))[third::3]
    asked = prompt if part == "prompts" else ~prompt
    rows = [np.flatnonzero((HELD_OUT.question == q) & asked) for q in questions]
    groups = [rows[i : i + together] for i in range(0, len(rows), together)]
    turns = [np.stack([r[: min(map(len, g))] for r in g], axis=1).ravel() for g in groups]
    chosen = np.concatenate(turns)[:tokens]
    return GateTrace(
        HELD_OUT.experts[chosen], scores[0, chosen], scores[1:, chosen], step_tokens * together
    )


@cache
def _gates() -> tuple[np.ndarray, np.ndarray]:
    """(4, tokens, layers, experts) scores and forecasts; (tokens,) which are prompts."""
    model, tokenizer = MixtureOfExperts.load(MOE_WEIGHTS / "tiny-moe"), Tokenizer()
    # as in training/record_routing.py
    asked = [q for task in TASKS.values() for q in task.generate(80, seed=7, split="test")]
    starts = np.flatnonzero(np.diff(HELD_OUT.question, prepend=-1))
    prompt = np.zeros(len(HELD_OUT), bool)
    for question, start in zip(asked, starts, strict=True):
        ids = tokenizer.encode(question.prompt)
        assert list(HELD_OUT.token[start : start + len(ids)]) == ids
        prompt[start : start + len(ids)] = True
    texts = np.split(HELD_OUT.token, starts[1:])
    scores = [model.gate_scores(ids[None], ahead=3) for ids in texts]
    return np.concatenate(scores, axis=1).astype(np.float64), prompt
