"""A closed loop: users who ask, wait for the answer, think, and ask again.

When a request comes depends on how fast the one before was served, so it is no list of arrivals.
What does not depend on the server (how long each user thinks, how long each turn is) is drawn
beforehand; two servers are then compared on the same users, however differently they answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.lengths.base import Lengths
from bursar.workload.traces.rules import Floats, Ints


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's request: `number` counts that user's turns from 0."""

    user: int
    number: int
    arrival_s: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class ClosedLoop:
    """Users and their turns, each table (users, turns).

    think_s         before a user asks: the first from second 0, the others from the last answer
    input_tokens    of that turn's prompt
    output_tokens   of its answer
    continues       whether a prompt begins with the user's prompt and answer before it
    """

    think_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    continues: bool = False

    @classmethod
    def drawn(
        cls,
        users: int,
        turns: int,
        mean_think_s: float,
        lengths: Lengths,
        rng: np.random.Generator,
    ) -> Self:
        """`users` of `turns` requests each, who think for exponential times.

        Raises `BadInput` unless there is a user with a turn and the mean is finite, zero or more.
        """
        if users < 1 or turns < 1:
            raise BadInput(f"{users} users with {turns} turns ask nothing; give 1 or more of each")
        if not 0 <= mean_think_s < np.inf:
            raise BadInput(f"mean_think_s is {mean_think_s}, must be finite, zero or more")
        shape = (users, turns)
        think = rng.exponential(mean_think_s, shape)
        inputs, outputs = lengths.draw(users * turns, rng)
        return cls(think, inputs.reshape(shape), outputs.reshape(shape))

    def first(self) -> list[Turn]:
        """The first turn of every user, in order of user."""
        return [self._turn(user, 0, since_s=0.0) for user in range(len(self.think_s))]

    def after(self, turn: Turn, completed_s: float) -> Turn | None:
        """What the user asks next, `turn` having been answered at `completed_s`; None at the end.

        Raises `BadInput` when the answer is older than its question.
        """
        if not completed_s >= turn.arrival_s:
            raise BadInput(
                f"user {turn.user}'s turn {turn.number} came at {turn.arrival_s} s and can't be "
                f"answered at {completed_s} s"
            )
        if turn.number + 1 == self.think_s.shape[1]:
            return None
        return self._turn(turn.user, turn.number + 1, since_s=completed_s)

    def _turn(self, user: int, number: int, since_s: float) -> Turn:
        return Turn(
            user,
            number,
            since_s + float(self.think_s[user, number]),
            int(self.input_tokens[user, number]),
            int(self.output_tokens[user, number]),
        )
