"""Trains the policy that picks which first steps of a Countdown to spawn (no torch needed).

    python -m bursar.training.train_spawn --size tiny-0.3m

Children of random first steps of questions of the train split are run once; the policy is trained
by REINFORCE on whether one of the spawned succeeds.
"""

import argparse
import asyncio

import numpy as np
from numpy.typing import NDArray

from bursar.backends import open_backend
from bursar.backends.base import Backend, Request
from bursar.reason.parallel.spawn_join import branches, child_prompt, step_features
from bursar.workload.tasks import TASKS

Floats = NDArray[np.float64]


async def children(
    backend: Backend, questions: int, each: int, thread_tokens: int, seed: int
) -> list[tuple[Floats, Floats]]:
    """Per question, the features of `each` random first steps and whether the child succeeded."""
    rng, task = np.random.default_rng(seed), TASKS["countdown"]
    asked = task.generate(questions, seed=seed, split="train", levels=("4", "5"))
    asked = [question for question in asked if len(branches(question)) >= each]
    plays = []
    for question in asked:
        steps = branches(question)
        chosen = rng.choice(len(steps), size=each, replace=False)
        plays.append((question, [steps[i] for i in chosen]))
    requests = [
        Request(child_prompt(q, s), thread_tokens, f"{q.id}/{i}", temperature=0.7, seed=seed)
        for q, steps in plays
        for i, s in enumerate(steps)
    ]
    done = iter(await backend.complete(requests))
    runs = []
    for question, steps in plays:
        won = []
        for step in steps:
            child = question.__class__("", "countdown", child_prompt(question, step))
            won.append(task.check(child, task.extract(child, next(done).text)))
        seen = np.array([step_features(question, step) for step in steps])
        runs.append((seen, np.array(won, dtype=float)))
    return runs


def trained(
    runs: list[tuple[Floats, Floats]],
    *,
    width: int = 4,
    rate: float = 1.0,
    steps: int = 300,
    draws: int = 16,
) -> Floats:
    """REINFORCE: branches are drawn one after the other (Plackett-Luce); the reward is that one of
    `width` succeeds, against the mean over draws, so that a second branch like the first is worth
    little. `runs` of equally many branches."""
    seen, won = (np.stack(part) for part in zip(*runs, strict=True))  # (Q, B, F), (Q, B)
    weights, rng = np.zeros(seen.shape[2]), np.random.default_rng(0)
    for _ in range(steps):
        scores = seen @ weights
        noise = rng.gumbel(size=(draws, *scores.shape))
        order = np.argsort(-(scores + noise), axis=2)[..., :width]
        reward = np.take_along_axis(np.broadcast_to(won, noise.shape), order, axis=2).max(axis=2)
        credit = reward - reward.mean(axis=0)
        chance = np.exp(scores - scores.max(axis=1, keepdims=True))
        open_ = np.ones_like(noise)
        gradient = np.zeros_like(weights)
        for k in range(width):
            drawn = order[..., k : k + 1]
            left = chance * open_
            push = -left / left.sum(axis=2, keepdims=True)
            np.put_along_axis(push, drawn, np.take_along_axis(push, drawn, 2) + 1, axis=2)
            gradient += np.einsum("dq,dqb,qbf->f", credit, push, seen, optimize=True)
            np.put_along_axis(open_, drawn, 0.0, axis=2)
        weights += rate * gradient / credit.size - 1e-3 * weights
    return weights


def any_of(runs: list[tuple[Floats, Floats]], weights: Floats, width: int) -> float:
    """How often one of the first `width` branches succeeds, over 200 draws."""
    seen, won = (np.stack(part) for part in zip(*runs, strict=True))
    noise = np.random.default_rng(1).gumbel(size=(200, *won.shape))
    order = np.argsort(-(seen @ weights + noise), axis=2)[..., :width]
    drawn = np.take_along_axis(np.broadcast_to(won, noise.shape), order, axis=2)
    return float(drawn.max(axis=2).mean())


def main() -> None:
    """Print the weights for `SpawnPolicy`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="tiny-0.3m", help="the model that the children are")
    parser.add_argument("--questions", type=int, default=400)
    args = parser.parse_args()
    backend = open_backend(args.size)
    runs = asyncio.run(children(backend, args.questions, 12, 48, seed=1))
    half = len(runs) // 2
    for width in (2, 4, 8):
        held_out = any_of(runs[half:], trained(runs[:half]), width)
        random = any_of(runs[half:], np.zeros(runs[0][0].shape[1]), width)
        print(f"any of {width} on the other half: {held_out:.3f}, of random ones {random:.3f}")
    print("weights:", tuple(round(float(w), 3) for w in trained(runs)))


if __name__ == "__main__":
    main()
