"""Questions of four kinds with words of their own, and three ways that are good at different ones.

`near` is cheap and knows two kinds, `wide` costs five times as much and knows three, `far` costs
twice as much as `near` and knows the one that no other does.
"""

import numpy as np

from bursar.value.outcomes import Outcomes

WORDS = {
    "sums": "add total apples coins change price count",
    "code": "python function list return loop string index",
    "law": "court statute clause appeal judge contract party",
    "moon": "orbit crater tide lunar eclipse rocket gravity",
}
WAYS = ("near", "wide", "far")
CHANCE = {"sums": (0.9, 0.92, 0.3), "code": (0.7, 0.9, 0.2), "law": (0.2, 0.8, 0.3),
          "moon": (0.1, 0.3, 0.85)}  # fmt: skip
COST = np.array([1.0, 5.0, 2.0])


def mixed(count: int, seed: int, telling: float = 1.5) -> Outcomes:
    """`count` questions; the sign of a right answer is `telling` standard deviations higher."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(WORDS), count)
    shared = ["what", "is", "the", "of", "in", "a", "how", "many", "which"]
    prompts = []
    for number, kind in enumerate(kinds):
        own, other = WORDS[kind].split(), shared * 2
        prompts.append(" ".join([*rng.choice(own, 4), *rng.choice(other, 8), f"q{number}"]))
    right = (rng.random((count, 3)) < np.array([CHANCE[k] for k in kinds])).astype(float)
    cost = COST * rng.uniform(0.5, 1.5, (count, 1))
    sign = telling * right + rng.normal(size=right.shape)
    return Outcomes(WAYS, tuple(prompts), right, cost, sign)
