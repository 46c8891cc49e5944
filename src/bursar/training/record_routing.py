"""Record which experts the built-in mixture of experts gives its tokens to.

    python -m bursar.training.record_routing

Greedy answers to questions of every level of every task, prompts included: the training split
makes the trace's `fit` part, the test split its `held_out` part. Answers come from torch, routes
from the NumPy engine. Writes workload/expert_routing/tiny-moe.npz.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.backends.moe import MOE_WEIGHTS, MixtureOfExperts
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.training.moe import MOE_SHAPES, load_moe
from bursar.training.sampling import sample
from bursar.workload.expert_routing.trace import RECORDING
from bursar.workload.tasks import TASKS


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=MOE_SHAPES, default="tiny-moe")
    parser.add_argument("--questions", type=int, default=80, help="per task and split")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RECORDING)
    chosen = parser.parse_args()
    model, engine = (load(MOE_WEIGHTS / chosen.size) for load in (load_moe, MixtureOfExperts.load))
    tokenizer = Tokenizer()
    parts: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("experts", "shares", "token", "question", "held_out")
    }
    number, right = 0, 0
    for split in ("train", "test"):
        for task in TASKS.values():
            asked = task.generate(chosen.questions, seed=chosen.seed, split=split)
            prompts = [q.prompt for q in asked]
            answers = sample(model, prompts, max_tokens=task.max_tokens, temperature=0)
            for question, answer in zip(asked, answers, strict=True):
                ids = np.array(tokenizer.encode(question.prompt + answer))
                found = engine.forward(ids[None])
                parts["experts"].append(found.experts[0].astype(np.uint8))
                parts["shares"].append(found.shares[0].astype(np.float16))
                parts["token"].append(ids.astype(np.uint8))
                parts["question"].append(np.full(len(ids), number, np.uint16))
                parts["held_out"].append(np.full(len(ids), split == "test"))
                number += 1
                right += task.check(question, task.extract(question, answer))
    columns: dict[str, Any] = {name: np.concatenate(rows) for name, rows in parts.items()}
    np.savez_compressed(chosen.out, num_experts=np.array(engine.config.experts), **columns)
    print(f"{len(columns['token'])} tokens of {number} questions, {right} answered right")


if __name__ == "__main__":
    main()
