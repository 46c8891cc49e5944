"""`Residuals`: what the law of users leaves over, carried from like instances to a new one.

A Gaussian process over instances x numbers of users (kriging), because instances that are alike in
what their steps have to do are off alike. With a, b instances and u, v log2 of users,

    k = (class^2 C + like^2 C exp(-|z_a - z_b|^2 / 2 l^2) + model^2 [same model])
        exp(-(u - v)^2 / 2 w^2) plus noise;

C falls where one batch is padded, or one model has an encoder, and the other not; z are the
standardised logarithms of the instance's numbers. The scales are those of most posterior density,
each with a log-normal prior (Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006,
5.4.1). A product over a grid is solved by two small eigendecompositions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bursar.cost.users.law import Loads
from bursar.cost.work import Array
from bursar.errors import BadInput

_PRIOR = {  # median, and standard deviation of the logarithm
    "of_class": (0.3, 0.7),
    "like": (0.4, 0.7),
    "of_model": (0.2, 0.7),
    "noise": (0.2, 0.5),
    "padded": (1.0, 0.7),
    "encoded": (0.5, 0.7),
    "apart": (2.0, 0.5),
    "doublings": (2.5, 0.4),
}
_MOST = 2.0
"""Doublings of time beyond which a residual is an accident: the server failed, it is not slow."""
_NUMBERS = ("weights_seconds", "prompt_seconds", "cache_tokens", "exchanges")


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """log2(measured / predicted), `off` (instances, users), of `loads` of `models` (names).

    `users` are the columns' log2. The predictions must come from a law that has not seen the model
    itself, or the residuals are too small. Raises `BadInput` on shapes that do not fit.
    """

    loads: Loads
    models: Sequence[str]
    users: Array
    off: Array

    def __post_init__(self) -> None:
        shape = (len(self.models), len(self.users))
        if self.off.shape != shape or len(self.loads.layers) != len(self.models):
            raise BadInput(
                f"residuals {self.off.shape} for {len(self.loads.layers)} instances of "
                f"{len(self.models)} named models and {len(self.users)} numbers of users; give "
                "one row per instance and one column per number"
            )

    def draws(self, new: Loads, count: int, rng: np.random.Generator) -> Array:
        """(count, instances of `new`, users): log2 factors of one model that is not among ours."""
        off = np.clip(self.off, -_MOST, _MOST)
        known = self._described(self.loads)
        own = self._described(new)
        model = np.array(self.models)
        same = np.asarray(model[:, None] == model[None, :], dtype=np.float64)
        scales = self._scales(known, same, off)
        grid = _over_users(scales, self.users)
        values, vectors = np.linalg.eigh(_over_instances(scales, known, known, same))
        of_grid, on_grid = np.linalg.eigh(grid)
        spread = np.outer(values, of_grid) + scales["noise"] ** 2
        other = np.zeros((len(own), len(known)))
        across = _over_instances(scales, own, known, other) @ vectors
        middle = across @ ((vectors.T @ off @ on_grid) / spread) @ (grid @ on_grid).T
        one = np.ones((len(own), len(own)))
        prior = np.kron(_over_instances(scales, own, own, one), grid)
        told = np.kron(across, grid @ on_grid)
        left, axes = np.linalg.eigh(prior - (told / spread.ravel()) @ told.T)
        shape = (count, len(own), len(self.users))
        root = axes * np.sqrt(np.maximum(left, 0.0))
        drawn = rng.standard_normal((count, len(left))) @ root.T
        noise = scales["noise"] * rng.standard_normal(shape)
        return np.asarray(middle + drawn.reshape(shape) + noise)

    def _described(self, loads: Loads) -> Array:
        """(instances, 6): the numbers, standardised by ours, then padded and encoded."""
        ours, theirs = (
            np.hstack([np.log(getattr(x, name) + (name == "exchanges")) for name in _NUMBERS])
            for x in (self.loads, loads)
        )
        scale = np.maximum(ours.std(axis=0), 1e-9)
        flags = [loads.padded, loads.encoded]
        return np.hstack([(theirs - ours.mean(axis=0)) / scale, *flags])

    def _scales(self, known: Array, same: Array, off: Array) -> dict[str, float]:
        start = np.log([median for median, _ in _PRIOR.values()])
        width = np.array([sd for _, sd in _PRIOR.values()])

        def loss(x: Array) -> float:
            scales = _named(x)
            values, vectors = np.linalg.eigh(_over_instances(scales, known, known, same))
            of_grid, on_grid = np.linalg.eigh(_over_users(scales, self.users))
            spread = np.maximum(np.outer(values, of_grid), 0.0) + scales["noise"] ** 2
            seen = vectors.T @ off @ on_grid
            fit = 0.5 * np.sum(seen**2 / spread + np.log(spread))
            return float(fit + 0.5 * np.sum(((x - start) / width) ** 2))

        return _named(minimize(loss, start, method="L-BFGS-B", options={"maxiter": 15}).x)


def _named(x: Array) -> dict[str, float]:
    return {name: float(np.exp(value)) for name, value in zip(_PRIOR, x, strict=True)}


def _over_users(scales: dict[str, float], users: Array) -> Array:
    apart = (users[:, None] - users[None, :]) / scales["doublings"]
    return np.asarray(np.exp(-0.5 * apart**2))


def _over_instances(scales: dict[str, float], a: Array, b: Array, same: Array) -> Array:
    differ = np.abs(a[:, None, -2:] - b[None, :, -2:])
    alike = np.exp(-differ @ np.array([scales["padded"], scales["encoded"]]))
    apart = np.sum((a[:, None, :-2] - b[None, :, :-2]) ** 2, axis=-1) / scales["apart"] ** 2
    shared = alike * (scales["of_class"] ** 2 + scales["like"] ** 2 * np.exp(-0.5 * apart))
    return np.asarray(shared + scales["of_model"] ** 2 * same)
