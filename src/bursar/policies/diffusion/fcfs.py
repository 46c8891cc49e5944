"""First come first served, blind to phases: everybody who is admitted takes part in each step.

So all may refresh at once, and memory for that is kept free.
"""

from dataclasses import dataclass

from bursar.policies.batching.base import require_at_least_one
from bursar.policies.diffusion.base import DiffusionDecision, DiffusionState
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class Fcfs:
    """Admits while all sequences, run at once, fit; `plans_steps`=False counts caches alone.

    `in_batches` admits only when nobody runs, as servers that batch by request do.
    """

    max_jobs: int = 256
    plans_steps: bool = True
    in_batches: bool = False

    def __post_init__(self) -> None:
        require_at_least_one(max_jobs=self.max_jobs)

    def decide(self, state: DiffusionState, now: float, price: Price) -> DiffusionDecision:
        """All that fit, in order of arrival."""
        held = list(state.running)
        if held and self.in_batches:
            return DiffusionDecision((), held)
        before = len(held)
        for job in state.waiting:
            tokens = sum(x.tokens for x in (*held, job)) if self.plans_steps else 0
            if len(held) >= self.max_jobs or not state.fits([*held, job], tokens):
                break
            held.append(job)
        return DiffusionDecision(held[before:], held)
