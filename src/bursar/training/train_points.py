"""Train the flow in the plane and the two scorers of its points.

    python -m bursar.training.train_points

The flow by flow matching. Then it draws trajectories; the clean scorer learns minus the distance
between a clean point and a goal, and the noise-aware one goes on from it: stage by stage its
inputs are the clean points expected at higher noise levels, its targets the clean scorer's own
scores of the points that came out in the end (TTSnap's self-distillation and curriculum).
"""

import argparse
import copy
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from bursar.backends.images.perceptron import features
from bursar.backends.images.points import IMAGE_WEIGHTS, PROMPTS
from bursar.training.shapes import points

TOLD = features(np.zeros(1, np.float32), np.zeros(1, np.int64), len(PROMPTS)).shape[1]
STEPS = 20
"""Of the trajectories that the scorers learn from."""


def perceptron(inputs: int, width: int, layers: int, outputs: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    widths = [inputs, *[width] * layers]
    parts: list[nn.Module] = []
    for before, after in pairwise(widths):
        parts += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*parts, nn.Linear(width, outputs))


def told(t: Tensor, prompts: Tensor) -> Tensor:
    """What a model is told beside its states: (n,) noise levels and (n,) prompts."""
    return torch.from_numpy(features(t.numpy(), prompts.numpy(), len(PROMPTS)))


def fit(net: nn.Module, draw: "Draw", steps: int, rate: float, what: str) -> nn.Module:
    """AdamW with one cycle of the rate on the mean square; returns the averaged weights."""
    optim = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optim, rate, total_steps=steps)
    averaged, seen = copy.deepcopy(net), 0.0
    for step in range(steps):
        inputs, targets = draw()
        loss = F.mse_loss(net(inputs), targets)
        optim.zero_grad()
        loss.backward()
        optim.step()
        schedule.step()
        seen += (loss.item() - seen) / min(step + 1, 500)
        with torch.no_grad():
            for kept, new in zip(averaged.parameters(), net.parameters(), strict=True):
                kept.lerp_(new, max(0.002, 1 / (step + 1)))
        if step % 2000 == 1999:
            print(f"{time.process_time():5.0f}s {what} {step + 1}: {seen:.4f}", file=sys.stderr)
    return averaged


class Draw:
    """Batches for `fit`."""

    def __init__(self, rng: np.random.Generator, batch: int) -> None:
        self.rng, self.batch = rng, batch

    def __call__(self) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class Velocities(Draw):
    """Points on the lines between data and noise, and the velocity along them."""

    def __init__(self, rng: np.random.Generator, batch: int) -> None:
        super().__init__(rng, batch)
        many = [points(p, 100_000, rng) for p in range(len(PROMPTS))]
        self.data = torch.from_numpy(np.stack(many))

    def __call__(self) -> tuple[Tensor, Tensor]:
        prompts = torch.from_numpy(self.rng.integers(len(PROMPTS), size=self.batch))
        clean = self.data[prompts, self.rng.integers(self.data.shape[1], size=self.batch)]
        noise = torch.from_numpy(self.rng.normal(size=(self.batch, 2)).astype(np.float32))
        t = torch.from_numpy(self.rng.random(self.batch, dtype=np.float32))
        at = torch.lerp(clean, noise, t[:, None])
        return torch.cat((at, told(t, prompts)), 1), noise - clean


class Scores(Draw):
    """Expected clean points at some noise levels, goals, and the teacher's score in the end."""

    def __init__(
        self,
        rng: np.random.Generator,
        batch: int,
        drawn: tuple[Tensor, Tensor],
        levels: range,
        teacher: nn.Module | None,
    ) -> None:
        super().__init__(rng, batch)
        (self.expected, self.prompts), self.levels, self.teacher = drawn, levels, teacher

    def __call__(self) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(self.rng.integers(len(self.prompts), size=self.batch))
        level = torch.from_numpy(self.rng.choice(np.array(self.levels), size=self.batch))
        # a goal is a place where a point of this prompt can be
        others = rows[torch.from_numpy(self.rng.permutation(self.batch))]
        goals = torch.where(
            (self.prompts[others] == self.prompts[rows])[:, None],
            self.expected[-1, others],
            self.expected[-1, rows]
            + torch.from_numpy(self.rng.normal(size=(self.batch, 2)).astype(np.float32)),
        )
        prompts, end = self.prompts[rows], self.expected[-1, rows]
        t = 1 - level.float() / STEPS
        inputs = torch.cat((self.expected[level, rows], goals, told(t, prompts)), 1)
        if self.teacher is None:
            return inputs, -torch.linalg.vector_norm(end - goals, dim=1, keepdim=True)
        with torch.no_grad():
            ended = torch.cat((end, goals, told(torch.zeros_like(t), prompts)), 1)
            return inputs, self.teacher(ended)


def trajectories(flow: nn.Module, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(STEPS + 1, n, 2) expected clean points after each Euler step, and the prompts (n,)."""
    prompts = torch.from_numpy(rng.integers(len(PROMPTS), size=count))
    x = torch.from_numpy(rng.normal(size=(count, 2)).astype(np.float32))
    expected = []
    with torch.no_grad():
        for step in range(STEPS):
            t = torch.full((count,), 1 - step / STEPS)
            velocity = flow(torch.cat((x, told(t, prompts)), 1))
            expected.append(x - t[:, None] * velocity)
            x = x - velocity / STEPS
    return torch.stack([*expected, x]), prompts


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20_000, help="of the flow's training")
    parser.add_argument("--out", type=Path, default=IMAGE_WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    flow = fit(perceptron(2 + TOLD, 96, 3, 2), Velocities(rng, 1024), chosen.steps, 2e-3, "flow")
    drawn = trajectories(flow, 100_000, rng)
    clean = Scores(rng, 512, drawn, range(STEPS, STEPS + 1), None)
    scorer = fit(perceptron(4 + TOLD, 64, 2, 1), clean, chosen.steps // 4, 2e-3, "clean")
    noisy = copy.deepcopy(scorer)
    for lowest in range(STEPS - 4, -1, -4):  # from almost clean to pure noise
        seen = Scores(rng, 512, drawn, range(lowest, STEPS + 1), scorer)
        noisy = fit(noisy, seen, chosen.steps // 5, 1e-3, f"noise-aware from {lowest}")
    named = {"flow": flow, "clean": scorer, "noise-aware": noisy}
    tensors = {
        f"{name}:{key}": tensor.detach().to(torch.float16).contiguous()
        for name, net in named.items()
        for key, tensor in net.state_dict().items()
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, chosen.out / "points.safetensors")


if __name__ == "__main__":
    main()
