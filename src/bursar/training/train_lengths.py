"""Train the length predictor of a model that checks its lines, on its own unguided texts.

    python -m bursar.training.train_lengths

Writes weights/lengths-<model>.safetensors; prints the likelihood it gives to held-out lengths.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from bursar.backends.base import Request, State, Steering
from bursar.backends.tiny import open_tiny
from bursar.backends.tiny.backend import WEIGHTS
from bursar.backends.tiny.guided import generate
from bursar.reason.exits.budget_guidance import CHECK
from bursar.reason.exits.self_checks import NEWLINE, Floats
from bursar.workload.tasks import TASKS

LEVELS = ("3", "4", "5", "6")
TEMPERATURE = 0.7
MAX_TOKENS = 400


class Watching:
    """A steer that changes nothing and keeps the states where guidance would act."""

    def __init__(self) -> None:
        self.rows: list[NDArray[np.int64]] = []
        self.said: list[NDArray[np.int64]] = []
        self.hidden: list[Floats] = []

    def begin(self, prompts: Sequence[Sequence[int]]) -> Steering:
        """See `Steer`; one run only."""

        def steer(state: State) -> Floats:
            fresh = (state.last_tokens == NEWLINE) | (state.said == 0)
            self.rows.append(state.rows[fresh])
            self.said.append(np.full(int(fresh.sum()), state.said))
            self.hidden.append(state.hidden[fresh].copy())
            return state.logits

        return steer


def collect(model: str, questions: int, *, seed: int, split: str) -> tuple[Tensor, Tensor, Tensor]:
    """States (n, width), whether a check is next (n,), log(tokens still to come + 1) (n,)."""
    asked = TASKS["chain"].generate(questions, seed=seed, split=split, levels=LEVELS)
    watching = Watching()
    texts = generate(
        open_tiny(model).engine,
        [Request(q.prompt, MAX_TOKENS, q.id, temperature=TEMPERATURE, seed=seed) for q in asked],
        watching,
    )
    rows, said = np.concatenate(watching.rows), np.concatenate(watching.said)
    whole = np.array([t.stop_reason == "stop" for t in texts])[rows]
    rows, said = rows[whole], said[whole]
    following = np.array([texts[r].tokens[s] for r, s in zip(rows, said, strict=True)])
    left = np.array([len(t.tokens) for t in texts])[rows] - said
    return (
        torch.from_numpy(np.concatenate(watching.hidden)[whole]),
        torch.from_numpy((following == CHECK).astype(np.int64)),
        torch.from_numpy(np.log1p(left)).float(),
    )


def loss_of(head: nn.Module, hidden: Tensor, following: Tensor, log_left: Tensor) -> Tensor:
    """Mean negative log-likelihood of a Gamma distribution, of the kinds said next alone."""
    shape, rate = (F.softplus(head(hidden)) + 1e-3).chunk(2, dim=1)
    at = following[:, None]
    law = torch.distributions.Gamma(shape.gather(1, at), rate.gather(1, at))
    return -law.log_prob(log_left[:, None]).mean()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-0.3m-checks")
    parser.add_argument("--questions", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    hidden, following, log_left = collect(
        chosen.model, chosen.questions, seed=chosen.seed + 100, split="train"
    )
    head = nn.Sequential(nn.Linear(hidden.shape[1], 48), nn.ReLU(), nn.Linear(48, 4))
    mean, scale = hidden.mean(0), hidden.std(0) + 1e-6
    inputs = (hidden - mean) / scale
    epochs, batch = 20, 512
    optim = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.02)
    steps = epochs * -(-len(inputs) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optim, 5e-3, total_steps=steps + 1)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(batch):
            loss = loss_of(head, inputs[rows], following[rows], log_left[rows])
            optim.zero_grad()
            loss.backward()
            optim.step()
            schedule.step()
    held = collect(chosen.model, 200, seed=chosen.seed, split="test")
    with torch.no_grad():
        print("held out:", float(loss_of(head, (held[0] - mean) / scale, *held[1:])))
        first = head[0]  # fold the standardisation into the first layer
        first.weight /= scale
        first.bias -= first.weight @ mean
    names = ("inner", "inner_bias", "outer", "outer_bias")
    save_file(
        {
            n: p.detach().numpy().astype(np.float16)
            for n, p in zip(names, head.parameters(), strict=True)
        },
        chosen.weights / f"lengths-{chosen.model}.safetensors",
    )


if __name__ == "__main__":
    main()
