"""Claim: a summary of what there is makes a text worth more at every place where it may be cut.

Texts are those of budget forcing. What is said before the cut does not depend on it, so all ways to
read a cut text are measured on the same texts, at the same tokens.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from tiny_arena import SEEDS, questions

from bursar.backends.base import Completion, Request
from bursar.backends.tiny import open_tiny
from bursar.backends.tiny.engine import Generation
from bursar.backends.tiny.guided import generate
from bursar.reason.exits.anytime import area, best_so_far, stated
from bursar.reason.exits.forced_answer import ForcedAnswer
from bursar.reason.exits.lynx import ROUNDS
from bursar.reason.exits.self_checks import SelfChecks
from bursar.reason.exits.texts import last_answer
from bursar.usage import Usage
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question

BUDGETS = (30, 60, 90, 130, 170, 210)
LEVELS = ("3", "4", "5")
COUNT = 33
CHAIN = TASKS["chain"]
Reader = Callable[[Question, Completion], str | None]


@cache
def cut(budget: int) -> tuple[tuple[Question, Completion], ...]:
    """Held-out texts of at most `budget` tokens, three seeds of them."""
    engine = open_tiny("tiny-0.3m").engine
    found: list[tuple[Question, Completion]] = []
    for seed in SEEDS:
        asked = questions("chain", LEVELS, COUNT, seed)
        requests = [Request(q.prompt, budget, q.id, temperature=0.7, seed=seed) for q in asked]
        texts = generate(engine, requests, ForcedAnswer(SelfChecks(ROUNDS)))
        found += zip(asked, map(completion, texts), strict=True)
    return tuple(found)


def completion(said: Generation) -> Completion:
    return Completion(said.text, Usage.zero(), said.stop_reason, said.logprobs)


def as_it_stands(question: Question, done: Completion) -> str | None:
    return CHAIN.extract(question, done.text)


def the_last(question: Question, done: Completion) -> str | None:
    return last_answer(CHAIN, question, done)


def the_best(question: Question, done: Completion) -> str | None:
    return best_so_far(CHAIN, question, done)


def shuffled(question: Question, done: Completion) -> str | None:
    """The control: the same probabilities, dealt out anew among the tokens."""
    assert done.logprobs is not None
    dealt = np.random.default_rng(0).permutation(done.logprobs)
    return the_best(question, replace(done, logprobs=dealt))


def the_first(question: Question, done: Completion) -> str | None:
    """As if the text had ended there: no self-check."""
    answers = [answer for answer, _ in stated(CHAIN, question, done)]
    return answers[0] if answers else None


def curve(read: Reader) -> list[float]:
    return [
        float(np.mean([read(q, done) == q.answer for q, done in cut(budget)])) for budget in BUDGETS
    ]


def test_the_best_so_far_has_more_area_than_other_ways_to_read_a_cut_text() -> None:
    areas = {
        read.__name__: area(BUDGETS, curve(read))
        for read in (the_best, the_last, the_first, as_it_stands)
    }
    best = areas.pop("the_best")
    assert best > max(areas.values()) + 0.02
    assert best > areas["as_it_stands"] + 0.2


def test_with_shuffled_probabilities_it_is_hardly_better_than_the_last_answer() -> None:
    best = area(BUDGETS, curve(the_best))
    assert area(BUDGETS, curve(shuffled)) < best - 0.02


def test_it_does_not_fall_as_the_text_grows_and_the_last_answer_does() -> None:
    best, last = curve(the_best), curve(the_last)
    assert max(np.maximum.accumulate(best) - best) < 0.02
    assert max(np.maximum.accumulate(last) - last) > 0.02


def test_made_to_answer_it_always_has_an_answer() -> None:
    assert all(the_best(q, done) is not None for b in BUDGETS for q, done in cut(b))
