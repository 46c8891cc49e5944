"""A measured table for any shape: the fitted roofline, corrected by what was measured nearby.

A table is cut into families (what no size interpolates: head dimension, number of experts). Within
one, log(measured / reference), the reference being tier (b), is interpolated linearly in the log of
every axis. So times are positive, the corner of the roofline stays sharp between points that are
far apart, and outside its table an operator follows the roofline with the efficiency it had at the
edge. Empty cells of the grid take the mean correction of the nearest points; a family that was not
measured takes the corrections of the three most alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from bursar.cost.tables.operator import KINDS, Kind, OperatorTable, Shape
from bursar.cost.work import Array

Sizes: TypeAlias = Mapping[str, Array]
Reference: TypeAlias = Callable[[Sizes], Array]

_MOST_CELLS = 8  # per measured row; a sparser table is not a grid
_NEAREST = 8
_ALIKE = 3


@dataclass(frozen=True)
class Interpolator:
    """A table that answers for any shape. `reference`: seconds of the same operator by tier (b)."""

    table: OperatorTable
    reference: Reference
    _grids: dict[tuple[float, ...], "_Grid"] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def seconds(self, shape: Shape) -> Array:
        """Seconds; axes are arrays that broadcast, the family's sizes are single numbers."""
        kind = KINDS[self.table.kind]
        sizes = np.broadcast_arrays(*(np.asarray(shape[a], dtype=np.float64) for a in kind.axes))
        family = tuple(float(np.asarray(shape[name])) for name in kind.family)
        points = np.stack([size.ravel() for size in sizes], axis=-1)
        found = np.zeros(len(points))
        for member, weight in self._alike(family):
            found += weight * self._grid(member).correction(points)
        asked = _named(kind, points, family)
        return np.asarray(np.exp(found) * self.reference(asked)).reshape(sizes[0].shape)

    def _alike(self, family: tuple[float, ...]) -> list[tuple[tuple[float, ...], float]]:
        if family in self._families:
            return [(family, 1.0)]
        members = list(self._families)
        apart = np.sum((_distance(np.array(members)) - _distance(np.array([family]))) ** 2, axis=-1)
        nearest = np.argsort(apart)[:_ALIKE]
        weights = 1.0 / (apart[nearest] + 1e-6)
        return [
            (members[i], float(w)) for i, w in zip(nearest, weights / weights.sum(), strict=True)
        ]

    @cached_property
    def _families(self) -> dict[tuple[float, ...], NDArray[np.intp]]:
        names = KINDS[self.table.kind].family
        if not names:
            return {(): np.arange(self.table.rows)}
        columns = np.stack([self.table.shape[name] for name in names], axis=-1)
        members, which = np.unique(columns, axis=0, return_inverse=True)
        return {
            tuple(map(float, member)): np.flatnonzero(which.ravel() == i)
            for i, member in enumerate(members)
        }

    def _grid(self, family: tuple[float, ...]) -> "_Grid":
        if family not in self._grids:
            kind = KINDS[self.table.kind]
            chosen = self.table.chosen(self._families[family])
            points = np.stack([chosen.shape[axis] for axis in kind.axes], axis=-1)

            def reference(at: Array) -> Array:
                return np.asarray(np.log(self.reference(_named(kind, at, family))))

            rising = tuple(axis in kind.rising for axis in kind.axes)
            self._grids[family] = _Grid.of(points, np.log(chosen.seconds), reference, rising)
        return self._grids[family]


@dataclass(frozen=True)
class _Grid:
    """log(measured / reference) of one family, at any points (rows of sizes)."""

    lowest: Array
    highest: Array
    inside: Callable[[Array], Array]

    @classmethod
    def of(
        cls,
        points: Array,
        log_seconds: Array,
        reference: Callable[[Array], Array],
        rising: tuple[bool, ...],
    ) -> "_Grid":
        axes = tuple(np.unique(column) for column in points.T)
        box = points.min(axis=0), points.max(axis=0)
        nearest = _nearest(points, log_seconds - reference(points))
        shape = tuple(axis.size for axis in axes)
        if np.prod(shape) > _MOST_CELLS * len(points):
            return cls(*box, nearest)
        cells = np.stack([mesh.ravel() for mesh in np.meshgrid(*axes, indexing="ij")], axis=-1)
        smooth = reference(cells).reshape(shape)
        full = np.full(shape, np.nan)
        full[tuple(map(np.searchsorted, axes, points.T))] = log_seconds
        if np.any(empty := np.isnan(full)):
            full[empty] = smooth[empty] + nearest(cells[empty.ravel()])
        for axis, rises in enumerate(rising):
            full = _rising(full, axis) if rises else full
        return cls(*box, _linear(axes, full - smooth))

    def correction(self, points: Array) -> Array:
        """At `points`; outside the table's box, at the nearest point of it."""
        return self.inside(np.clip(points, self.lowest, self.highest))


def _named(kind: Kind, points: Array, family: tuple[float, ...]) -> Sizes:
    sizes = dict(zip(kind.axes, points.T, strict=True))
    return {**sizes, **{k: np.array(v) for k, v in zip(kind.family, family, strict=True)}}


def _log(sizes: Array) -> Array:
    return np.log1p(sizes)  # sizes may be 0: a prompt without cached tokens


def _linear(axes: tuple[Array, ...], values: Array) -> Callable[[Array], Array]:
    kept = [i for i, axis in enumerate(axes) if axis.size > 1]
    if not kept:
        return lambda at: np.full(len(at), values.item())
    grid = RegularGridInterpolator([_log(axes[i]) for i in kept], np.squeeze(values))
    return lambda at: np.asarray(grid(_log(at[:, kept])))


def _nearest(points: Array, values: Array) -> Callable[[Array], Array]:
    """Mean of the nearest values, weighted by inverse squared distance in log sizes."""
    tree = cKDTree(_log(points))
    count = min(_NEAREST, len(points))

    def at(asked: Array) -> Array:
        apart, which = map(np.asarray, tree.query(_log(asked), k=range(1, count + 1)))
        weights = 1.0 / (apart**2 + 1e-9)
        near = values[which]
        return np.asarray(np.sum(weights * near, axis=-1) / np.sum(weights, axis=-1))

    return at


def _rising(values: Array, axis: int) -> Array:
    """The mean of the least rising surface above and the greatest below."""
    above = np.maximum.accumulate(values, axis=axis)
    below = np.flip(np.minimum.accumulate(np.flip(values, axis), axis=axis), axis)
    return np.asarray((above + below) / 2.0)


def _distance(families: Array) -> Array:
    return np.log(np.where(families > 0, families, 0.5))
