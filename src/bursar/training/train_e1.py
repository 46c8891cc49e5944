"""Train the model with a dial for effort by reinforcement, after `supervise`; or its twin.

    python -m bursar.training.train_e1 --start-from runs/rounds --minutes 1,2.5
    python -m bursar.training.train_e1 --start-from runs/rounds --absolute --out runs/twin

First supervised texts that tell the dials apart: from dials that were not, reinforcement shortened
every text alike. Then each question is asked without a dial, which says what it now takes and is
not learnt from, and at four dials, one from each quarter of .25 to 1, rewarded as `training/e1.py`
says. One thread; minutes of processor time.
"""

import argparse
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bursar.training.e1 import EffortReward
from bursar.training.effort_traces import dial_document
from bursar.training.model import WEIGHTS, TinyLlama, load, save
from bursar.training.reinforce import Learner, advantages, draw_questions, sample
from bursar.training.supervise import supervise
from bursar.training.traces import Document

QUESTIONS = 8
DIALS = 4
TYPICAL_TOKENS = 190.0
"""Mean length without a dial; the twin's supervised texts are a dial's share of it."""
TEXTS = 6
"""Of a dial, for each question."""
_TWENTIETHS = (range(5, 9), range(9, 13), range(13, 17), range(17, 21))


def reinforce(
    model: TinyLlama,
    reward: EffortReward,
    first: Callable[[random.Random], Document],
    minutes: float,
    seed: int,
) -> TinyLlama:
    """The averaged model after processor `minutes` of steps on QUESTIONS new questions each."""
    rng, start = random.Random(seed), time.process_time()
    learner = Learner(model, first)
    number, seen = 0, []
    while (spent := time.process_time() - start) < 60 * minutes:
        asked = draw_questions(rng, QUESTIONS)
        dials = np.array([[rng.choice(quarter) for quarter in _TWENTIETHS] for _ in asked])
        efforts = [["", *(f"effort {n} " for n in row)] for row in dials.tolist()]
        drawn = sample(
            model,
            [(q, e) for q, row in zip(asked, efforts, strict=True) for e in row * TEXTS],
            seed=rng.getrandbits(31),
        )  # questions x texts x (no dial, dials)
        shape = (QUESTIONS, TEXTS, 1 + DIALS)
        lengths = np.array([d.length for d in drawn], np.float64).reshape(shape).swapaxes(1, 2)
        right = np.array([d.right for d in drawn]).reshape(shape).swapaxes(1, 2)
        rewards = np.zeros(lengths.shape)
        rewards[:, 1:] = reward.rewards(
            dials / 20, right[:, 1:], lengths[:, 1:], lengths[:, 0].mean(-1)
        )
        weights = advantages(rewards.reshape(-1, TEXTS)).reshape(rewards.shape)
        learner.step(drawn, weights.swapaxes(1, 2).ravel(), 1 - spent / 60 / minutes)
        number += 1
        seen.append(np.stack([right.mean((0, 2)), rewards.mean((0, 2)), lengths.mean((0, 2))]))
        if number % 5 == 0:
            kept = np.mean(seen[-5:], axis=0).round(3).tolist()
            print(f"{time.process_time():6.0f}s step {number} right, rewards, tokens without and "
                  f"with dials {kept}", flush=True)  # fmt: skip
    return learner.averaged


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", default="1,2.5", help="supervised, then reinforced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-from", type=Path, required=True)
    parser.add_argument("--absolute", action="store_true", help="the twin: one length for all")
    parser.add_argument("--out", type=Path, default=WEIGHTS / "dials" / "tiny-e1")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    reward = EffortReward(chosen.absolute)
    tokens = TYPICAL_TOKENS if chosen.absolute else None
    texts = partial(dial_document, decisions=True, tokens=tokens)
    first, then = map(float, chosen.minutes.split(","))
    model = supervise(load(chosen.start_from), texts, 1e-3, first, chosen.seed)
    model = reinforce(model, reward, texts, then, chosen.seed)
    save(model, chosen.out, efforts="fractions")


if __name__ == "__main__":
    main()
