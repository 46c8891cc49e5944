"""Train the small in-context learner on hidden rules; seconds on one core.

    python -m bursar.training.train_in_context

What it learns is which numbers of a letter belong together, and the rule that never changes.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn import functional as F

from bursar.backends.in_context import WEIGHTS, WIDTH
from bursar.workload.hidden_rules import ANSWERS, CLASSES, NUMBERS, HiddenRule

_LETTERS = tuple(CLASSES)
MOST = 24
"""Demonstrations of a training query, 0 to this many; all queries are padded to it."""


def batch(rng: random.Random, queries: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of the query (queries,) and of its demonstrations (queries, MOST), -1 where there is
    none; the demonstrations' answers and the query's own."""
    asked, truth = [], []
    shown = np.full((queries, MOST), -1)
    said = np.zeros((queries, MOST), np.int64)
    for i in range(queries):
        rule = HiddenRule.draw(rng, rng.choice(_LETTERS))
        first = _LETTERS.index(rule.letter) * NUMBERS
        query, *others = rng.sample(range(NUMBERS), 1 + rng.randint(0, MOST))
        asked.append(first + query)
        truth.append(ANSWERS.index(rule.value(query)))
        shown[i, : len(others)] = [first + x for x in others]
        said[i, : len(others)] = [ANSWERS.index(rule.value(x)) for x in others]
    return torch.tensor(asked), torch.tensor(shown), torch.tensor(said), torch.tensor(truth)


def log_chances(
    table: Tensor, nothing: Tensor, prior: Tensor, asked: Tensor, shown: Tensor, said: Tensor
) -> Tensor:
    """What `InContextBackend` computes, (queries, answers)."""
    keys = table[shown.clamp(min=0)]
    match = torch.einsum("qw,qdw->qd", table[asked], keys)
    match = match.masked_fill(shown < 0, -torch.inf)
    scores = torch.cat([nothing[asked, None], match], dim=1)
    weight = torch.softmax(scores, dim=1)
    votes = torch.einsum("qd,qda->qa", weight[:, 1:], F.one_hot(said, len(ANSWERS)).float())
    return torch.log(votes + weight[:, :1] * torch.softmax(prior[asked], dim=1) + 1e-6)


def train(steps: int, queries: int, seed: int) -> dict[str, np.ndarray]:
    """The weights, float16."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    rows = len(CLASSES) * NUMBERS
    table = (0.3 * torch.randn(rows, WIDTH)).requires_grad_()
    nothing = torch.zeros(rows).requires_grad_()
    prior = torch.zeros(rows, len(ANSWERS)).requires_grad_()
    optim = torch.optim.Adam([table, nothing, prior], lr=0.02)
    for step in range(steps):
        for group in optim.param_groups:
            group["lr"] = 0.02 * min(1.0, 2 * (1 - step / steps))
        asked, shown, said, truth = batch(rng, queries)
        loss = F.nll_loss(log_chances(table, nothing, prior, asked, shown, said), truth)
        optim.zero_grad()
        loss.backward()
        optim.step()
        if step % 200 == 199:
            print(f"{time.process_time():4.0f}s step {step + 1} loss {loss:.4f}", flush=True)
    named = {"table": table, "nothing": nothing, "prior": prior}
    return {name: value.detach().numpy().astype(np.float16) for name, value in named.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    save_file(train(chosen.steps, 128, chosen.seed), chosen.out)


if __name__ == "__main__":
    main()
