"""Train and calibrate the exit probe of a built-in model on its own texts that check themselves.

    python -m bursar.training.train_exit_probe --size tiny-1m

Questions for training and calibration come from the train split (different ones), for judging
from the test split. Writes weights/exits-<size>.safetensors and prints areas under ROC.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from bursar.backends.tiny import open_tiny, tiny_sizes
from bursar.backends.tiny.backend import WEIGHTS
from bursar.reason.exits.conformal import worst_look
from bursar.reason.exits.lynx import ExitProbe, features
from bursar.training.exit_looks import LEVELS, Labelled, collect
from bursar.training.train_verifier import auc, fit_head
from bursar.workload.tasks import TASKS


def looks_of(size: str, questions: int, *, seed: int, split: str) -> Labelled:
    """Labelled looks at the texts of fresh questions."""
    asked = TASKS["chain"].generate(questions, seed=seed, split=split, levels=LEVELS)
    return collect(open_tiny(size).engine, asked, seed=seed)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=tiny_sizes(), required=True)
    parser.add_argument("--questions", type=int, default=3000, help="for training")
    parser.add_argument("--calibration", type=int, default=1000, help="questions")
    parser.add_argument("--held-out", type=int, default=400, help="questions, for judging")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    seen = looks_of(chosen.size, chosen.questions, seed=chosen.seed + 100, split="train")
    inputs, labels = torch.from_numpy(features(seen.looks)), torch.from_numpy(seen.safe).float()
    head = fit_head(inputs, labels, seed=chosen.seed)
    weights = [p.detach().numpy().astype(np.float16) for p in head.parameters()]
    inner, inner_bias, outer, outer_bias = weights
    single = [w.astype(np.float32) for w in (inner, inner_bias, outer[0], outer_bias)]
    none = np.zeros(0, np.float32)
    probe = ExitProbe(single[0], single[1], single[2], single[3], none, none)
    other = looks_of(chosen.size, chosen.calibration, seed=chosen.seed + 200, split="train")
    scores = probe.score(other.looks)
    worst = [
        worst_look(scores[other.looks.rows == i], other.safe[other.looks.rows == i])
        for i in range(chosen.calibration)
    ]
    tensors = {
        "inner": inner,
        "inner_bias": inner_bias,
        "outer": outer[0],
        "outer_bias": outer_bias,
        "by_trajectory": np.sort(np.array(worst, np.float32)),
        "by_event": np.sort(scores[~other.safe]),
    }
    save_file(tensors, chosen.weights / f"exits-{chosen.size}.safetensors")
    unseen = looks_of(chosen.size, chosen.held_out, seed=chosen.seed, split="test")
    truth = unseen.safe.tolist()
    alone = fit_head(torch.from_numpy(seen.looks.hidden).clone(), labels, seed=chosen.seed)
    with torch.no_grad():
        state = alone(torch.from_numpy(unseen.looks.hidden))[:, 0].tolist()
    figures = {
        "looks": len(truth),
        "right": float(np.mean(truth)),
        "auc": auc(probe.score(unseen.looks).tolist(), truth),
        "auc_state_alone": auc(state, truth),
        "auc_logprob": auc(unseen.looks.logprobs[:, 0].tolist(), truth),
    }
    print(chosen.size, json.dumps(figures))


if __name__ == "__main__":
    main()
