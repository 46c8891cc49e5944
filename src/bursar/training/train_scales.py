"""Train the next-scale generator of small pictures.

    python -m bursar.training.train_scales

Scenes are made on the fly: one to four things of one kind, well apart, on sixteen by sixteen
places. Every scale learns to predict its map from the true map before it.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.signal import correlate2d
from torch import nn
from torch.nn import functional as F

from bursar.backends.images.points import IMAGE_WEIGHTS
from bursar.backends.images.scales import LEVELS, SIDES, THINGS, Maps, surroundings
from bursar.training.train_points import perceptron

APART = 2
"""Dark places between two things, at least."""


def scene(thing: int, count: int, rng: np.random.Generator) -> Maps:
    """(16, 16): `count` things or, where no more have room, fewer."""
    shape, side = list(THINGS.values())[thing], SIDES[-1]
    height, width = shape.shape
    picture, near = np.zeros((side, side), np.int64), np.zeros((side, side), np.int64)
    for _ in range(count):
        free = np.argwhere(correlate2d(near, shape.astype(np.int64), mode="valid") == 0)
        if not len(free):
            break
        i, j = free[rng.integers(len(free))]
        picture[i : i + height, j : j + width] |= shape
        around = np.ones((2 * APART + 1, 2 * APART + 1), np.int64)
        near = (correlate2d(picture, around, mode="same") > 0).astype(np.int64)
    return picture


def scenes(count: int, rng: np.random.Generator) -> tuple[Maps, Maps]:
    """Pictures (n, 16, 16) of zeros and ones, and what they show (n,)."""
    things = rng.integers(len(THINGS), size=count)
    numbers = rng.integers(1, 5, size=count)
    return np.stack([scene(t, n, rng) for t, n in zip(things, numbers, strict=True)]), things


def levels_at(pictures: Maps, side: int) -> Maps:
    """(n, 16, 16) of zeros and ones -> (n, side, side) levels of the blocks' means."""
    n, block = len(pictures), SIDES[-1] // side
    means = pictures.reshape(n, side, block, side, block).mean((2, 4))
    return np.rint(means * (LEVELS - 1)).astype(np.int64)


def children(maps: Maps, before: int) -> Maps:
    """(n, side, side) -> (n * before^2, places): the levels that each place is divided into."""
    n, factor = len(maps), maps.shape[1] // before
    blocks = maps.reshape(n, before, factor, before, factor).transpose(0, 1, 3, 2, 4)
    return blocks.reshape(n * before * before, factor * factor)


def train_scale(
    scale: int, pictures: Maps, things: Maps, steps: int, rng: np.random.Generator
) -> tuple[nn.Sequential, float]:
    """The net of one scale, and its loss per place over the last steps."""
    maps = levels_at(pictures, SIDES[scale])
    parents = levels_at(pictures, SIDES[scale - 1]) if scale else np.zeros_like(maps)
    before = parents.shape[1]
    inputs = surroundings(parents[:1], things[:1]).shape[1]
    net = perceptron(inputs, 64, 2, maps.shape[1] ** 2 // before**2 * LEVELS)
    optim = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optim, 3e-3, total_steps=steps)
    seen, batch = 0.0, max(8, 1024 // before**2)
    for step in range(steps):
        rows = rng.integers(len(things), size=batch)
        logits = net(torch.from_numpy(surroundings(parents[rows], things[rows])))
        targets = torch.from_numpy(children(maps[rows], before))
        loss = F.cross_entropy(logits.reshape(-1, LEVELS), targets.flatten())
        optim.zero_grad()
        loss.backward()
        optim.step()
        schedule.step()
        seen += (loss.item() - seen) / min(step + 1, 300)
    return net, seen


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3000, help="of each scale's training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=IMAGE_WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    pictures, things = scenes(30_000, rng)
    tensors = {}
    for scale in range(len(SIDES)):
        net, loss = train_scale(scale, pictures, things, chosen.steps, rng)
        print(f"{time.process_time():5.0f}s scale {scale}: {loss:.4f}", file=sys.stderr)
        for key, tensor in net.state_dict().items():
            tensors[f"{scale}:{key}"] = tensor.detach().to(torch.float16).contiguous()
    chosen.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, chosen.out / "scales.safetensors")


if __name__ == "__main__":
    main()
