"""MILP: several resources at once, and constraints that couple items, through HiGHS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse

from bursar.allocate.base import Choice, Floats, Limit, Options
from bursar.errors import BadInput, Infeasible
from bursar.plan import Plan
from bursar.price import Price

_RETRIES = 8
_TOLERANCE = 2e-6  # of a scaled row; HiGHS' default for whole plans is 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """The sum of `weights` (items, options) over the chosen options is at most `at_most`.

    For example "at most 3 questions go to the large model": weight 1 on its options.
    """

    weights: Floats
    at_most: float


@dataclass(frozen=True, slots=True)
class MilpAllocator:
    """For any number of resources and couplings; see `Allocator`.

    The price is the dual of the relaxation, the bound the better of that dual's and HiGHS'. Past
    `time_limit_s` the best plan so far is returned with its proven gap.
    """

    couplings: tuple[Coupling, ...] = ()
    time_limit_s: float = 60.0
    target_gap: float = 1e-9

    def allocate(self, options: Options, limit: Limit) -> Plan:
        """See `Allocator.allocate`; also raises `Infeasible` when time ran out without a plan."""
        limits = options.limits(limit)
        if not len(options):
            return options.plan(np.empty(0, dtype=np.int64), limits, Price(), 0.0, "milp")
        model = _Model.of(options, limits, self.couplings)
        price, bound = model.relaxed(limits)
        allowed = model.most.copy()
        for _ in range(_RETRIES):
            found = optimize.milp(
                -model.value,
                integrality=np.ones(len(model.value), dtype=np.int64),
                bounds=optimize.Bounds(0, 1),
                constraints=[
                    optimize.LinearConstraint(model.rows, ub=allowed),
                    optimize.LinearConstraint(model.pick, lb=1, ub=1),
                ],
                options={"time_limit": self.time_limit_s, "mip_rel_gap": self.target_gap},
            )
            if found.x is None:
                break
            if (allowed == model.most).all() and found.mip_dual_bound is not None:
                bound = min(bound, -float(found.mip_dual_bound) * model.unit)
            choice = model.choice(found.x)
            over = model.over(choice)
            if not over.any():
                return options.plan(choice, limits, price, bound, "milp")
            # HiGHS lets a plan pass a limit by its tolerance, we don't: ask for that much less.
            allowed -= np.where(over > 0, over + _TOLERANCE, 0.0)
        raise Infeasible(
            f"no whole plan within all limits was found in {self.time_limit_s:g} s, though one "
            "that splits items exists: raise the time limit or the limits"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """The 0/1 programme over all real options, scaled: HiGHS' tolerances are absolute."""

    shape: tuple[int, int]
    index: Choice
    """Where each variable stands in the flattened (items, options)."""
    value: Floats
    unit: float
    """Value per scaled value."""
    rows: sparse.csr_array
    most: Floats
    scale: Floats
    """Amount per scaled amount, of each row."""
    pick: sparse.csr_array
    exact: Floats
    """(rows, items * options): the rows as given."""
    exact_most: Floats

    @classmethod
    def of(
        cls, options: Options, limits: Mapping[str, float], couplings: tuple[Coupling, ...]
    ) -> _Model:
        for coupling in couplings:
            if coupling.weights.shape != options.values.shape:
                raise BadInput(
                    f"coupling weights of shape {coupling.weights.shape} do not fit options of "
                    f"shape {options.values.shape}"
                )
        index = np.flatnonzero(np.isfinite(options.values))
        value = options.values.ravel()[index]
        exact = np.stack([w.ravel() for w in (*options.costs, *(c.weights for c in couplings))])
        exact_most = np.array([*limits.values(), *(c.at_most for c in couplings)])
        if not np.isfinite(exact[:, index]).all() or not np.isfinite(exact_most).all():
            raise BadInput("coupling weights and limits must be finite numbers")
        scale = np.maximum(np.abs(exact[:, index]).max(axis=1), np.abs(exact_most))
        scale[scale == 0] = 1.0
        unit = max(float(np.abs(value).max()), 1e-300)
        pick = _one_each(index // options.values.shape[1], options.values.shape[0], len(index))
        rows = sparse.csr_array(exact[:, index] / scale[:, None])
        return cls(
            (len(options), options.values.shape[1]),
            index, value / unit, unit, rows, exact_most / scale, scale, pick, exact, exact_most,
        )  # fmt: skip

    def relaxed(self, limits: Mapping[str, float]) -> tuple[Price, float]:
        """Price and bound from the linear relaxation; raises `Infeasible` saying by how much."""
        found = optimize.linprog(  # type: ignore[call-overload]  # the stubs know no sparse matrix
            -self.value,
            A_ub=self.rows,
            b_ub=self.most,
            A_eq=self.pick,
            b_eq=np.ones(self.shape[0]),
            bounds=(0, None),
        )
        if found.status == 2:
            raise Infeasible(self._by_how_much(limits))
        if found.status != 0:
            return Price(), np.inf
        dual = np.maximum(-found.ineqlin.marginals, 0.0)
        net = self.value - self.rows.T @ dual
        starts = np.flatnonzero(np.diff(self.index // self.shape[1], prepend=-1))
        bound = float(dual @ self.most) + float(np.sum(np.maximum.reduceat(net, starts)))
        per_unit = (dual / self.scale * self.unit).tolist()
        return Price(dict(zip(limits, per_unit, strict=False))), bound * self.unit

    def choice(self, x: Floats) -> Choice:
        """(items,) the option that each item takes."""
        taken = np.zeros(self.shape)
        taken.ravel()[self.index] = x
        choice: Choice = np.argmax(taken, axis=1)
        return choice

    def over(self, choice: Choice) -> Floats:
        """By how much each row is passed, scaled; 0 when it holds."""
        flat = np.arange(self.shape[0]) * self.shape[1] + choice
        spent = np.array([float(np.sum(row[flat])) for row in self.exact])
        return np.maximum(spent - self.exact_most, 0.0) / self.scale

    def _by_how_much(self, limits: Mapping[str, float]) -> str:
        """The smallest common stretch of the limits that some (split) plan would need."""
        count = len(self.value)
        found = optimize.linprog(  # type: ignore[call-overload]  # the stubs know no sparse matrix
            np.append(np.zeros(count), 1.0),
            A_ub=sparse.csr_array(np.column_stack([self.rows.toarray(), -np.ones(len(self.most))])),
            b_ub=self.most,
            A_eq=_one_each(self.index // self.shape[1], self.shape[0], count + 1),
            b_eq=np.ones(self.shape[0]),
            bounds=(0, None),
        )
        if found.x is None:
            return "the limits can't hold together: raise them"
        stretch = float(found.x[-1]) * self.scale
        names = [*limits, *(f"coupling {i}" for i in range(len(stretch) - len(limits)))]
        missing = ", ".join(f"{s:.4g} {n}" for s, n in zip(stretch, names, strict=True))
        return f"the limits can't hold together: raise them by about {missing}, or one by more"


def _one_each(item: Choice, items: int, columns: int) -> sparse.csr_array:
    """(items, columns) with a 1 where a variable (the first columns) belongs to an item."""
    ones = np.ones(len(item))
    return sparse.csr_array((ones, (item, np.arange(len(item)))), shape=(items, columns))
