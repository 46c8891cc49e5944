"""Users that instances of a model never measured carry, from servers of other models.

Two views are pooled, half of the draws each, as either alone is too sure of itself: what instances
carried whose prediction was like this (`Analogues`), and the law's times corrected by those of
instances that are built alike (`Residuals`). Both rest on predictions of each measured model by a
law that was fitted without it.
"""

from collections.abc import Sequence

import numpy as np

from bursar.cost.users.analogues import Analogues
from bursar.cost.users.fit import MeasuredUsers, fit_users
from bursar.cost.users.instance import Instance
from bursar.cost.users.law import Limits, Loads, carried_by
from bursar.cost.users.residuals import Residuals
from bursar.cost.work import Array
from bursar.errors import BadInput

_FINE = 0.25
"""Doublings of users between which predicted times are compared with the limits."""


def carried_measured(rows: Sequence[MeasuredUsers], limits: Limits) -> float:
    """log2 of the users that one instance carried, never as much as twice what was tested."""
    rows = sorted(rows, key=lambda row: row.users)
    users = np.array([row.users for row in rows])
    first = np.array([[row.first_seconds for row in rows]])
    between = np.array([[row.between_seconds for row in rows]])
    found = carried_by(first, between, users, limits)[0]
    return float(min(found, np.log2(users[-1]) + 0.99))


def carried_unseen(
    rows: Sequence[MeasuredUsers],
    tokens_out: float,
    instances: Sequence[Instance],
    limits: Limits,
    count: int,
    rng: np.random.Generator,
) -> Array:
    """(count, len(instances)): users each carries, one of the numbers measured or 0; draws.

    `rows` are of two other models at least, `instances` all of the new one. A draw's columns are
    together likely. Raises `BadInput` for fewer models.
    """
    servers: dict[tuple[str, str], list[MeasuredUsers]] = {}
    for row in rows:
        servers.setdefault((row.model, row.name), []).append(row)
    models = np.array([model for model, _ in servers])
    names = sorted(set(models.tolist()))
    if len(names) < 2:
        raise BadInput(f"servers of {len(names)} models; measure two other models at least")
    levels = np.unique([row.users for row in rows])
    fine = 2.0 ** np.arange(np.log2(levels[0]) - 2.0, np.log2(levels[-1]) + 3.01, _FINE)
    known = Loads.of([own[0].instance for own in servers.values()], tokens_out)
    new = Loads.of(instances, tokens_out)

    carried, at_levels = np.empty(len(servers)), np.empty((2, len(servers), len(levels)))
    for name in names:  # by a law that has not seen it
        law = fit_users([row for row in rows if row.model != name], tokens_out)
        own = models == name
        carried[own] = carried_by(*law.seconds(known, fine), fine, limits)[own]
        at_levels[:, own] = np.log2(np.stack(law.seconds(known, levels)))[:, own]
    law = fit_users(rows, tokens_out)

    least, most = np.log2(levels[0]) - 1.0, np.log2(levels[-1]) + 1.0
    analogues = Analogues(
        np.clip(carried, least, most),
        np.array([carried_measured(own, limits) for own in servers.values()]),
    )
    expected = np.clip(carried_by(*law.seconds(new, fine), fine, limits), least, most)
    half = count // 2
    alike = analogues.draws(expected, count - half, rng)

    within = np.ones((half, len(instances), len(levels)), dtype=bool)
    times = np.log2(np.stack(law.seconds(new, levels)))
    for which, limit in enumerate((limits.first_seconds, limits.between_seconds)):
        measured = [_left_over(own, which, at_levels[which, i], levels)
                    for i, own in enumerate(servers.values())]  # fmt: skip
        residuals = Residuals(known, models.tolist(), np.log2(levels), np.array(measured))
        within &= times[which] + residuals.draws(new, half, rng) <= np.log2(limit)
    passed = np.sum(np.cumprod(within, axis=-1), axis=-1)
    below = np.searchsorted(np.log2(levels), alike, side="right")
    return np.asarray(np.concatenate([[0.0], levels])[np.concatenate([below, passed])])


def _left_over(rows: Sequence[MeasuredUsers], which: int, law: Array, levels: Array) -> Array:
    """log2(measured / law) at all `levels`: between those measured a line, beyond them the last."""
    rows = sorted(rows, key=lambda row: row.users)
    users = np.log2([row.users for row in rows])
    times = np.log2([(row.first_seconds, row.between_seconds)[which] for row in rows])
    off = times - np.interp(users, np.log2(levels), law)
    return np.asarray(np.interp(np.log2(levels), users, off))
