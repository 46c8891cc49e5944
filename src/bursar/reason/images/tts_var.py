"""TTS-VAR: many coarse drawings, thinned for variety; then fine ones, thinned by promise.

Paper: Zhekai Chen, Ruihang Chu, Yukang Chen, Shiwei Zhang, Yujie Wei, Yingya Zhang, Xihui Liu,
    "TTS-VAR: A Test-Time Scaling Framework for Visual Auto-Regressive Generation", 2025,
    arXiv:2507.18537; section 3.
Symbols: b_i -> shares; lambda -> sharpness; P -> exp(sharpness * reward), the "value" potential.
Differs: five scales, so each rule is used once; features are the map's own brightnesses instead of
    DINOv2's; what is paid for, not N, sets the batch.
Checked: tests/papers/test_tts_var.py: on the next-scale generator at the FLOPs of eight and sixteen
    pictures, mean reward beats best-of-N's (not at four), and exchanging the two rules lowers it.
Seed: 52
"""

import numpy as np
from numpy.typing import NDArray

from bursar.backends.images.scales import Maps
from bursar.reason.images.base import Studio
from bursar.reason.images.scale_paths import ScalePainter, Thin, first_ones

SHARES = (16.0, 16.0, 16.0, 8.0, 2.0)
"""A descending batch on five scales, the best of four tried (on seeds that no test uses)."""


def varied(studio: Studio, maps: Maps, count: int) -> NDArray[np.intp]:
    """The nearest to each middle of `count` clusters, and others where clusters are empty."""
    points = maps.reshape(len(maps), -1).astype(np.float64)
    middles = _spread(points, count, studio.rng)
    for _ in range(ROUNDS):
        nearest = _distances(points, middles).argmin(1)
        taken = np.unique(nearest)
        middles = np.stack([points[nearest == cluster].mean(0) for cluster in taken])
    chosen = _distances(points, middles).argmin(0)
    return np.concatenate((chosen, studio.rng.choice(len(maps), count - len(chosen))))


def promising(sharpness: float) -> Thin:
    """Drawn with replacement by exp(`sharpness` x reward of the picture as it looks now)."""

    def resampled(studio: Studio, maps: Maps, count: int) -> NDArray[np.intp]:
        promise = sharpness * studio.judge(maps)
        odds = np.exp(promise - promise.max())
        return studio.rng.choice(len(maps), count, p=odds / odds.sum())

    return resampled


def tts_var(sharpness: float = 10.0, shares: tuple[float, ...] = SHARES) -> ScalePainter:
    """Variety after the third scale, promise after the fourth, the last but one."""
    return ScalePainter(shares, (first_ones, first_ones, varied, promising(sharpness)))


def exchanged(sharpness: float = 10.0, shares: tuple[float, ...] = SHARES) -> ScalePainter:
    """The control: the same batches with the two rules exchanged."""
    return ScalePainter(shares, (first_ones, first_ones, promising(sharpness), varied))


ROUNDS = 5
"""Of k-means; a batch is small."""


def _spread(
    points: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """First middles (k <= count, d), each drawn by its squared distance to those before it."""
    middles = points[rng.integers(len(points), size=1)]
    while len(middles) < count:
        squared = _distances(points, middles).min(1) ** 2
        if not squared.any():
            break
        drawn = rng.choice(len(points), p=squared / squared.sum())
        middles = np.concatenate((middles, points[drawn : drawn + 1]))
    return middles


def _distances(points: NDArray[np.float64], middles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k)."""
    found: NDArray[np.float64] = np.linalg.norm(points[:, None] - middles, axis=2)
    return found
