"""Claim: knowing how the source's answers usually fall saves votes at the same confidence.

What it does not do: beat adaptive consistency where that one is told the best level afterwards. On
simulated questions and on long chains both lie on one curve of agreement by samples.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_arena import SEEDS, accuracy, run, tokens

from bursar.backends.base import Request
from bursar.backends.tiny import open_tiny
from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.exits.posterior_voting import PosteriorVoting
from bursar.reason.rounds import RoundRobin
from bursar.value.voting import p_top_beats_second
from bursar.workload.tasks import TASKS

LEVEL = 0.95
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "reason" / "qwen25_math_100x8.jsonl"
Rows = list[list[str]]
Sure = Callable[[list[int]], bool]


def play(rows: Rows, sure: Sure) -> tuple[float, float]:
    """(mean samples, share of questions with the full vote's answer) of a stopping rule."""
    used, same = [], []
    for row in rows:
        votes: Counter[str] = Counter()
        for answer in row:
            votes[answer] += 1
            if sure(list(votes.values())):
                break
        used.append(votes.total())
        same.append(votes.most_common(1)[0][0] == Counter(row).most_common(1)[0][0])
    return float(np.mean(used)), float(np.mean(same))


def beta(confidence: float) -> Sure:
    def sure(votes: list[int]) -> bool:
        first, second, *_ = [*sorted(votes, reverse=True), 0, 0]
        return float(p_top_beats_second(first, second)) > confidence

    return sure


def posterior(history: Rows, confidence: float) -> Sure:
    rule = PosteriorVoting.learn([list(Counter(row).values()) for row in history])
    return lambda votes: rule.p_leader(votes) > confidence


def mixed(count: int, seed: int, easy: float = 0.7) -> Rows:
    """Easy questions (one answer nearly always) among split ones; 40 votes on each."""
    rng = np.random.default_rng(seed)
    shapes = ([0.95, 0.05], [0.5, 0.2, 0.15, 0.1, 0.05], [0.4, 0.25, 0.15, 0.1, 0.1])
    kinds = rng.choice(3, count, p=[easy, (1 - easy) / 2, (1 - easy) / 2])
    return [list(map(str, rng.choice(len(shapes[k]), 40, p=shapes[k]))) for k in kinds]


@pytest.mark.parametrize("seed", range(3))
def test_fewer_votes_at_the_same_confidence_which_is_kept(seed: int) -> None:
    rows = mixed(300, seed)
    used, same = play(rows, posterior(mixed(300, seed + 10), LEVEL))
    plain, _ = play(rows, beta(LEVEL))
    assert same >= LEVEL - 3 * np.sqrt(LEVEL * (1 - LEVEL) / 300)
    assert used < 0.9 * plain


@pytest.mark.parametrize("seed", range(3))
def test_shapes_of_another_source_break_the_promise(seed: int) -> None:
    """The control: learnt where one answer nearly always comes, used where answers are split."""
    rows = mixed(300, seed, easy=0.0)
    _, same = play(rows, posterior(mixed(300, seed + 10, easy=1.0), LEVEL))
    assert same < LEVEL - 0.05


def test_fewer_votes_by_the_built_in_model_on_short_chains() -> None:
    levels, model = ("1", "2", "3"), "tiny-0.3m"
    rule = PosteriorVoting.learn(history(model, levels), max_samples=16)
    spent, right = {}, {}
    for name, how in {"posterior": rule, "beta": AdaptiveConsistency(max_samples=16)}.items():
        voting = RoundRobin(name, how)
        runs = [run(voting, "chain", levels, tokens=None, seed=s, model=model) for s in SEEDS]
        spent[name], right[name] = tokens(runs), accuracy(runs)
    assert spent["posterior"] < 0.9 * spent["beta"]
    assert right["posterior"] > right["beta"] - 0.02


def history(model: str, levels: tuple[str, ...]) -> list[list[int]]:
    """The votes of 8 samples at each of 60 questions that no test asks."""
    task = TASKS["chain"]
    asked = [q for q in task.generate(60, seed=50, split="train", levels=levels) for _ in range(8)]
    done = open_tiny(model).engine.run(
        [
            Request(q.prompt, task.max_tokens, q.id, sample=i, temperature=0.7, stop=("wrong",))
            for i, q in enumerate(asked)
        ]
    )
    answers = [task.extract(q, d.text) for q, d in zip(asked, done, strict=True)]
    tallies = [Counter(a for a in answers[i : i + 8] if a) for i in range(0, len(answers), 8)]
    return [list(t.values()) for t in tallies]


@pytest.mark.shared
def test_on_recorded_math_answers_one_vote_is_enough_and_it_knows() -> None:
    """Voting adds nothing there: 8 samples of a question agree with its first one."""
    if not RECORDED.is_file():
        pytest.skip("needs ../shared/data/reason/qwen25_math_100x8.jsonl")
    recorded = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
    rows = [[str(answer) for answer in row["pred"]] for row in recorded]
    used, same = play(rows[50:], posterior(rows[:50], LEVEL))
    plain, _ = play(rows[50:], beta(LEVEL))
    assert used < 0.5 * plain
    assert same >= LEVEL
