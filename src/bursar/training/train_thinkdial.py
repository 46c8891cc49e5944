"""Train the model with three effort modes: two phases of reinforcement after `supervise`.

    python -m bursar.training.train_thinkdial --start-from runs/rounds --minutes 1,0.7,2.5

0. More supervised texts, of which mostly the decisions to go on or end are learnt: they are few
   among the tokens.
1. High alone, for being right: the accuracy from which the other modes are cut.
2. All modes on the same questions, with the reward of `training/thinkdial.py`.

One thread; minutes are processor time. Writes after each phase.
"""

import argparse
import random
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bursar.training.effort_traces import mode_document
from bursar.training.model import WEIGHTS, TinyLlama, load, save
from bursar.training.reinforce import Drawn, Learner, advantages, draw_questions, sample
from bursar.training.supervise import supervise
from bursar.training.thinkdial import MODES, ModeReward

QUESTIONS = 8
TEXTS = 8
"""Of a mode, for each question."""


def reinforce(model: TinyLlama, modes: tuple[str, ...], minutes: float, seed: int) -> TinyLlama:
    """The averaged model after processor `minutes` of steps on `modes` (High among them)."""
    rng, start, reward = random.Random(seed), time.process_time(), ModeReward()
    learner = Learner(model, partial(mode_document, decisions=True))
    number, seen = 0, dict[str, list[tuple[float, float]]]()
    while (spent := time.process_time() - start) < 60 * minutes:
        asked = draw_questions(rng, QUESTIONS)
        drawn = {
            mode: sample(model, [(q, f"effort {mode} ") for q in asked for _ in range(TEXTS)],
                         seed=rng.getrandbits(31))
            for mode in modes
        }  # fmt: skip
        high = _table([d.length for d in drawn["high"]]).mean(axis=1)
        texts: list[Drawn] = []
        weights = []
        for mode, found in drawn.items():
            lengths = _table([d.length for d in found])
            right = _table([d.right for d in found]) > 0
            texts += found
            weights.append(advantages(reward.rewards(mode, right, lengths, high)).ravel())
            seen.setdefault(mode, []).append((right.mean(), lengths.mean()))
        learner.step(texts, np.concatenate(weights), 1 - spent / 60 / minutes)
        number += 1
        if number % 5 == 0:
            report = {m: np.mean(v[-5:], axis=0).round(3).tolist() for m, v in seen.items()}
            print(f"{time.process_time():6.0f}s step {number} (right, tokens) {report}", flush=True)
    return learner.averaged


def _table(values: list[int] | list[bool]) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(QUESTIONS, TEXTS)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", default="1,0.7,2.5", help="of 0, 1 and 2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-from", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS / "dials" / "tiny-dial")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    first, warm, aware = map(float, chosen.minutes.split(","))
    decisions = partial(mode_document, decisions=True)
    model = supervise(load(chosen.start_from), decisions, 1e-3, first, chosen.seed)
    model = reinforce(model, ("high",), warm, chosen.seed)
    save(model, chosen.out, efforts="modes")
    model = reinforce(model, MODES, aware, chosen.seed + 1)
    save(model, chosen.out, efforts="modes")


if __name__ == "__main__":
    main()
