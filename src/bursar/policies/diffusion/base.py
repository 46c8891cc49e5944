"""What a policy for serving diffusion language models is: before each step it says who takes part.

A diffusion model fills in an answer over many steps. A refresh runs the whole sequence and renews
its KV cache; until the next one, reuse steps run only the block that is filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bursar.price import Price


@dataclass(slots=True, eq=False)
class Denoise:
    """One request as a policy may see it; `done` steps of `steps`. The engine counts them."""

    index: int
    tokens: int
    """Prompt and answer: all of it is in memory from the start."""
    steps: int
    arrived: float
    done: int = 0


class DiffusionDecision(NamedTuple):
    """Those of the waiting that are admitted, first, and who takes part in the next step."""

    admit: Sequence[Denoise] = ()
    step: Sequence[Denoise] = ()


class DiffusionState(Protocol):
    """What an engine shows to a policy."""

    @property
    def waiting(self) -> Sequence[Denoise]:
        """Not admitted, first come first."""
        ...

    @property
    def running(self) -> Sequence[Denoise]:
        """Admitted, in the order in which they last took part in a step."""
        ...

    def is_refresh(self, job: Denoise) -> bool:
        """Whether a job's next step runs its whole sequence; its first does."""
        ...

    def query_tokens(self, job: Denoise) -> int:
        """Tokens that a job's next step runs."""
        ...

    def fits(self, held: Sequence[Denoise], query_tokens: int) -> bool:
        """Whether memory holds the caches of these jobs and a step of so many tokens."""
        ...


class DiffusionPolicy(Protocol):
    """Decides what an engine's next step does."""

    def decide(self, state: DiffusionState, now: float, price: Price) -> DiffusionDecision:
        """Pure: the same state, time (seconds) and price give the same answer."""
        ...
