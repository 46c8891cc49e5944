"""The law of an instance whose users each wait for an answer before they ask again.

As many requests run as there are users, up to the room for their caches; the others wait. A step
reads the weights and all caches, launches its layers, handles each request on the host, and runs
the prompts of those that have just come. Whoever finds no room waits for the rounds before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost.users.instance import Instance
from bursar.cost.work import Array

PROMPT_TOKENS = 250.0
"""A mean prompt: what is fitted with it absorbs how far off it is."""
SHARPNESS = 3.0
"""How sudden the change is from room for all to a queue: (users^-3 + room^-3)^(-1/3) run."""


@dataclass(frozen=True, slots=True)
class UsersLaw:
    """Factors of the datasheet's seconds, or seconds where the name says so.

    `weights`, `prompt`, `link`, `cache`, `padded_cache`: how much longer than the datasheet allows.
    `layer_seconds` (`padded_layer_seconds`) and `exchange_seconds` of each layer and exchange in a
    step, `user_seconds` of each running request. `joined`: what a step with a new prompt takes more
    of a step's base. `room`, `padded_room`: running requests per token of cache. `first`: bases,
    `first_prompts`: prompts of all running, before the first token; `waited` of the rounds before.
    """

    weights: float = 1.3
    layer_seconds: float = 2e-4
    padded_layer_seconds: float = 5e-4
    exchange_seconds: float = 8e-5
    prompt: float = 2.0
    link: float = 2.0
    cache: float = 1.0
    padded_cache: float = 6.0
    user_seconds: float = 2e-4
    joined: float = 0.3
    room: float = 1 / 400
    padded_room: float = 1 / 2000
    first: float = 2.0
    first_prompts: float = 1.0
    waited: float = 0.7

    def seconds(self, loads: "Loads", users: ArrayLike) -> tuple[Array, Array]:
        """(to the first token, between tokens) for `users`; broadcasts with the loads' columns."""
        asking = np.asarray(users, dtype=np.float64)
        pad = loads.padded
        base = (
            self.weights * loads.weights_seconds
            + np.where(pad, self.padded_layer_seconds, self.layer_seconds) * loads.layers
            + self.exchange_seconds * loads.exchanges
        )
        prompt = PROMPT_TOKENS * (
            self.prompt * loads.prompt_seconds + self.link * loads.link_seconds
        )
        caches = np.where(pad, self.padded_cache, self.cache) * PROMPT_TOKENS * loads.cache_seconds
        room = np.where(pad, self.padded_room, self.room) * loads.cache_tokens
        room = np.maximum(room, 1.0)
        running = (asking**-SHARPNESS + room**-SHARPNESS) ** (-1 / SHARPNESS)
        coming = running / loads.tokens_out
        between = (
            base * (1.0 + self.joined * (1.0 - np.exp(-coming)))
            + coming * prompt
            + running * (self.user_seconds + caches)
        )
        first = self.first * base + self.first_prompts * running * prompt
        rounds = np.maximum(asking / running - 1.0, 0.0)
        first = first + self.waited * rounds * (first + loads.tokens_out * between)
        return np.asarray(first), np.asarray(between)


@dataclass(frozen=True, slots=True)
class Loads:
    """Instances as columns, one row each, and the length of their answers."""

    tokens_out: float
    weights_seconds: Array
    prompt_seconds: Array
    link_seconds: Array
    cache_seconds: Array
    layers: Array
    exchanges: Array
    cache_tokens: Array
    padded: Array
    encoded: Array

    @classmethod
    def of(cls, instances: Sequence[Instance], tokens_out: float) -> "Loads":
        """The instances' numbers, (rows, 1), so that users are columns."""
        names = [field.name for field in fields(Instance)]
        columns = [np.array([[getattr(one, name)] for one in instances]) for name in names]
        return cls(tokens_out, *columns)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that the typical request may take to its first token, and between tokens."""

    first_seconds: float
    between_seconds: float


def carried_by(first: Array, between: Array, users: Array, limits: Limits) -> Array:
    """log2 of the users at which a limit is first passed; all but `users` are (rows, users).

    Interpolated in logarithms between neighbours; one doubling below the first where that is
    already too slow, one above the last where no limit is passed.
    """
    least = np.full(len(first), np.log2(users[-1]) + 1.0)
    for times, limit in ((first, limits.first_seconds), (between, limits.between_seconds)):
        for row, line in enumerate(np.log2(times / limit)):
            least[row] = min(least[row], _crossing(line, np.log2(users)))
    return least


def _crossing(line: Array, users: Array) -> float:
    above = np.flatnonzero(line > 0)
    if not len(above):
        return float(users[-1]) + 1.0
    at = int(above[0])
    if at == 0:
        return float(users[0]) - 1.0
    share = -line[at - 1] / (line[at] - line[at - 1])
    return float(users[at - 1] + share * (users[at] - users[at - 1]))
