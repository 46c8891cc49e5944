"""Train the next-scale generator of small pictures.

    python -m bursar.training.train_scales --minutes 8

Scenes are made on the fly: one to four things of one kind that do not touch, on eight by eight
places. Every scale learns to predict its map from the true map before it.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from bursar.backends.images.points import IMAGE_WEIGHTS
from bursar.backends.images.scales import LEVELS, SIDES, THINGS, Maps

Scenes = tuple[Maps, Maps]
"""Pictures (n, 8, 8) of zeros and ones, and what they show (n,)."""


def scene(thing: int, count: int, rng: np.random.Generator) -> Maps:
    """(8, 8): `count` things or, where no more have room, fewer; no two touch."""
    shape, side = list(THINGS.values())[thing], SIDES[-1]
    height, width = shape.shape
    picture, near = np.zeros((side, side), np.int64), np.zeros((side + 2, side + 2), bool)
    for _ in range(count):
        free = [
            (i, j)
            for i in range(side - height + 1)
            for j in range(side - width + 1)
            if not (near[i + 1 : i + 1 + height, j + 1 : j + 1 + width] & shape).any()
        ]
        if not free:
            break
        i, j = free[rng.integers(len(free))]
        picture[i : i + height, j : j + width] |= shape
        for di in range(3):  # the thing and all places that touch it
            for dj in range(3):
                near[i + di : i + di + height, j + dj : j + dj + width] |= shape
    return picture


def scenes(count: int, rng: np.random.Generator) -> Scenes:
    """As many of every kind, one to four things each."""
    things = rng.integers(len(THINGS), size=count)
    numbers = rng.integers(1, 5, size=count)
    return np.stack([scene(t, n, rng) for t, n in zip(things, numbers, strict=True)]), things


def levels_at(pictures: Maps, side: int) -> Maps:
    """(n, 8, 8) of zeros and ones -> (n, side, side) levels of the blocks' means."""
    n, block = len(pictures), SIDES[-1] // side
    means = pictures.reshape(n, side, block, side, block).mean((2, 4))
    return np.rint(means * (LEVELS - 1)).astype(np.int64)


class ScaleNet(nn.Module):
    """`bursar.backends.images.scales.NextScale`, to be trained."""

    def __init__(self, width: int = 48, layers: int = 3, hidden: int = 96, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.layers = heads, layers

        def matrix(rows: int, columns: int, scale: float) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(rows, columns) / rows**0.5)

        places = sum(side * side for side in SIDES)
        self.named = nn.ParameterDict(
            {
                "place": nn.Parameter(0.3 * torch.randn(places, width)),
                "thing": nn.Parameter(0.3 * torch.randn(len(THINGS), width)),
                "level": nn.Parameter(0.3 * torch.randn(LEVELS, width)),
                "head": matrix(width, LEVELS, 1.0),
            }
        )
        for i in range(layers):
            self.named[f"layers_{i}_qkv"] = matrix(width, 3 * width, 1.0)
            self.named[f"layers_{i}_out"] = matrix(width, width, 0.3)
            self.named[f"layers_{i}_up"] = matrix(width, hidden, 1.0)
            self.named[f"layers_{i}_down"] = matrix(hidden, width, 0.3)

    def forward(self, before: Tensor | None, things: Tensor, scale: int) -> Tensor:
        """(n, side'^2, LEVELS) logits of the map at `scale`."""
        side, w = SIDES[scale], self.named
        first = sum(s * s for s in SIDES[:scale])
        x = w["place"][first : first + side * side] + w["thing"][things][:, None]
        if before is not None:
            factor = side // SIDES[scale - 1]
            seen = before.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
            x = x + w["level"][seen.flatten(1)]
        for i in range(self.layers):
            qkv = (_normed(x) @ w[f"layers_{i}_qkv"]).unflatten(-1, (3, self.heads, -1))
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + mixed @ w[f"layers_{i}_out"]
            x = x + F.silu(_normed(x) @ w[f"layers_{i}_up"]) @ w[f"layers_{i}_down"]
        return _normed(x) @ w["head"]


def _normed(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=IMAGE_WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    pictures, things = scenes(40_000, rng)
    maps = [torch.from_numpy(levels_at(pictures, side)) for side in SIDES]
    kinds = torch.from_numpy(things)
    net, averaged = ScaleNet(), ScaleNet()
    optim = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01, betas=(0.9, 0.98))
    start, limit, step = time.process_time(), 60 * chosen.minutes, 0
    seen = np.zeros(len(SIDES))
    while (done := (time.process_time() - start) / limit) < 1:
        for group in optim.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 200, 2 * (1 - done) + 0.01)
        rows = torch.from_numpy(rng.integers(len(kinds), size=128))
        losses = []
        for scale in range(len(SIDES)):
            before = maps[scale - 1][rows] if scale else None
            logits = net(before, kinds[rows], scale)
            losses.append(F.cross_entropy(logits.flatten(0, 1), maps[scale][rows].flatten()))
        total = sum(loss * side**2 for loss, side in zip(losses, SIDES, strict=True))
        optim.zero_grad()
        (total / SIDES[-1]).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optim.step()
        with torch.no_grad():
            for kept, new in zip(averaged.parameters(), net.parameters(), strict=True):
                kept.lerp_(new, max(0.002, 1 / (step + 1)))
        seen += (np.array([loss.item() for loss in losses]) - seen) / min(step + 1, 300)
        step += 1
        if step % 500 == 0:
            print(f"{time.process_time():5.0f}s {step}: {seen.round(4)}", file=sys.stderr)
    chosen.out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name.replace("_", "."): p.detach().to(torch.float16).contiguous()
        for name, p in averaged.named.items()
    }
    save_file(tensors, chosen.out / "scales.safetensors")


if __name__ == "__main__":
    main()
