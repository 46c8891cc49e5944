"""Calibrate: sample labelled questions and learn what `auto` would otherwise find out by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bursar.errors import BadInput
from bursar.reason.base import Arm, Work
from bursar.reason.belief import likelihood_of
from bursar.reason.profile import Profile, task_entry
from bursar.reason.solve import grade
from bursar.reason.workbench import Workbench
from bursar.value import Saturation, majority_at_k, pass_at_k
from bursar.value.answer_belief import AnswerBelief, AnswerLaw
from bursar.value.answer_evidence import Votes
from bursar.workload.tasks.base import Question, Task

MIN_SAMPLES = 4


async def calibrate(
    questions: Sequence[Question],
    bench: Workbench,
    samples: int,
    on_round: Callable[[int, int], None] | None = None,
) -> Profile:
    """One greedy attempt and `samples` sampled ones by every model at every question, then fit.

    Raises `BadInput` with fewer than 4 samples or on questions without a known answer.
    """
    check_samples(samples)
    unknown = [q.id for q in questions if grade(q, None, bench.tasks) is None]
    if unknown:
        raise BadInput(f"question {unknown[0]!r} has no known answer; calibrate on labelled ones")
    works = [Work(q) for q in questions]
    arms = bench.arms()
    steps = [arm for arm in arms for _ in range(1 if arm.temperature == 0 else samples)]
    for done, arm in enumerate(steps, start=1):
        await bench.attempt([(w, arm) for w in works if arm not in w.closed])
        if bench.purse.failure:
            raise bench.purse.failure
        if on_round:
            on_round(done, len(steps))
    tasks = dict.fromkeys(q.task for q in questions)
    return Profile({t: _fit([w for w in works if w.question.task == t], bench) for t in tasks})


def check_samples(samples: int) -> None:
    """Raises `BadInput` with fewer samples a question than can be fitted."""
    if samples < MIN_SAMPLES:
        raise BadInput(f"{samples} samples a question can't be fitted; take at least {MIN_SAMPLES}")


def _fit(works: Sequence[Work], bench: Workbench) -> dict[str, Any]:
    belief = AnswerBelief(len(works), AnswerLaw.guess([0.0] * len(bench.backends)))
    belief.observe([_labelled(w, bench) for w in works])
    belief.refit(steps=30)
    entry = task_entry(belief.law(), bench.backends)
    return entry | {"arms": {a.name: _curves(works, a, bench.tasks) for a in bench.arms()}}


def _labelled(work: Work, bench: Workbench) -> Votes:
    """The attempts with the right answer named: all right answers count as one."""
    names: list[str | None] = ["right"]
    index = []
    for attempt in work.attempts:
        if attempt.answer is None:
            index.append(-1)
        elif grade(work.question, attempt.answer, bench.tasks):
            index.append(0)
        else:
            if attempt.answer not in names[1:]:
                names.append(attempt.answer)
            index.append(names.index(attempt.answer, 1))
    used = [bench.backends.index(a.arm.backend) for a in work.attempts]
    hint = likelihood_of(work.attempts[0]) if work.attempts else None
    return Votes(used, index, 0 if 0 in index else -1, hint)


def _curves(works: Sequence[Work], arm: Arm, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """pass@k and majority@k by samples, a saturation fitted to the former, tokens per attempt."""
    mine = [[a for a in w.attempts if a.arm == arm] for w in works]
    right = [
        [bool(grade(w.question, a.answer, tasks)) for a in attempts]
        for w, attempts in zip(works, mine, strict=True)
    ]
    tokens = [a.usage.tokens for attempts in mine for a in attempts if a.usage.tokens is not None]
    trials = min((len(r) for r in right), default=0)
    out: dict[str, Any] = {
        "tokens": float(np.mean(tokens)) if tokens else None,
        "accuracy": float(np.mean([x for r in right for x in r])) if trials else None,
    }
    if trials < MIN_SAMPLES:
        return out
    ks = [k for k in (1, 2, 4, 8, 16, 32, 64) if k <= trials]
    passed = np.array([[float(pass_at_k(sum(r), len(r), k)) for k in ks] for r in right])
    out["pass_at_k"] = {str(k): float(x) for k, x in zip(ks, passed.mean(axis=0), strict=True)}
    out["majority_at_k"] = {
        str(k): float(np.mean([_majority(a, r, k) for a, r in zip(mine, right, strict=True)]))
        for k in ks
    }
    curve = Saturation.fit(ks, passed)
    low, high = curve.interval(ks)
    out["saturation"] = {
        "ceiling": curve.ceiling,
        "rate": curve.rate,
        "low": [float(x) for x in low],
        "high": [float(x) for x in high],
    }
    return out


def _majority(attempts: Sequence[Any], right: Sequence[bool], k: int) -> float:
    counts = Counter(
        "right" if ok else f"wrong {a.answer}"
        for a, ok in zip(attempts, right, strict=True)
        if a.answer is not None
    )
    names = list(counts)
    total = sum(counts.values())
    if not total:
        return 0.0
    index = names.index("right") if "right" in names else None
    return majority_at_k([counts[n] for n in names], index, min(k, total))
