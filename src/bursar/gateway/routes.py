"""A route: a name that clients ask for, behind which a router chooses one model for each request.

The router has learned from questions of which it is known who answers them right. It weighs the
chance of a right answer against what the request may cost, at what a right answer is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bursar.errors import BadInput
from bursar.gateway.config import RouteAt
from bursar.gateway.models import Model
from bursar.gateway.reading import question_of
from bursar.reason.route import ROUTERS, STOP, Router
from bursar.usage import Usage
from bursar.value.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Route:
    """A router, fitted, over `models`; a right answer is worth `worth_usd`."""

    name: str
    models: tuple[Model, ...]
    router: Router
    worth_usd: float

    def choose(
        self, body: Mapping[str, Any], upper: Callable[[Model], Usage], may: Callable[[str], bool]
    ) -> tuple[Model, str]:
        """The model for a request, and why. `upper` is what it may cost; `may`, who may be asked.

        Raises `BadInput` where none may be, or none has a price.
        """
        cost = np.full((1, len(self.models)), np.inf)
        for i, model in enumerate(self.models):
            usd = upper(model).usd if may(model.name) else None
            if usd is not None:
                cost[0, i] = usd
        if np.all(np.isinf(cost)):
            raise BadInput(
                f"{self.name}: this key may ask none of {', '.join(m.name for m in self.models)}, "
                "or none of them has a price; ask for a model by its name"
            )
        belief = self.router.estimate([question_of(body)])
        nothing = np.array([STOP])
        way = self.router.next_way(belief, cost, nothing, np.array([np.nan]), 1 / self.worth_usd)
        chosen = self.models[int(way[0])]
        chance = float(belief[0, int(way[0])])
        return chosen, f"{self.name} chose {chosen.name}: right with {chance:.0%}, it believes"


def open_routes(routes: Sequence[RouteAt], models: Mapping[str, Model]) -> dict[str, Route]:
    """The routes of a configuration, each learned from its file. Raises `BadInput`."""
    return {
        at.name: Route(
            at.name,
            tuple(models[name] for name in at.models),
            ROUTERS[at.router]().fit(read_outcomes(Path(at.outcomes), at.models)),
            at.worth_usd,
        )
        for at in routes
    }


def read_outcomes(path: Path, models: Sequence[str]) -> Outcomes:
    """Who was right on which question, from lines of ``{"prompt": ..., "right": {model: 0 or 1}}``.

    Raises `BadInput`, naming the line.
    """
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise BadInput(f"outcomes {path}: {error.strerror}; name a file that can be read") from None
    prompts, right = list[str](), list[list[float]]()
    for number, line in enumerate(lines, start=1):
        try:
            row = orjson.loads(line)
            prompts.append(str(row["prompt"]))
            right.append([float(row["right"][name]) for name in models])
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(
                f"outcomes {path}, line {number}: {type(error).__name__} {error}; write "
                '{"prompt": "...", "right": {"' + models[0] + '": 1, ...}} with every model of the '
                "route"
            ) from None
    if not prompts:
        raise BadInput(f"outcomes {path}: has no line; a router needs questions to learn from")
    known = np.array(right)
    free, unseen = np.zeros_like(known), np.full_like(known, np.nan)
    return Outcomes(tuple(models), tuple(prompts), known, free, unseen)
