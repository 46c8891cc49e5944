"""One layer's experts through a loader and a computing unit that work side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import Infeasible
from bursar.policies.expert_loading import LoadingOrder, LoadingState
from bursar.policies.expert_loading.base import WIDTHS
from bursar.price import Price

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """What happened."""

    seconds: float
    """From the first load to the last token."""
    idle_seconds: float
    """Of these, those in which the computing unit waited for weights."""
    peak_bytes: float
    """Most weights in memory at once."""


@dataclass(frozen=True, slots=True)
class ExpertPipeline:
    """Loads parts one after another, computes whatever is there, drops an expert when it is done.

    A token computes as soon as the parts of its width are there. A part is loaded only if all
    experts that have begun can still be finished, one after another, in the memory that is left.
    """

    expert_bytes: float
    """Of one expert at 8 bits."""
    bytes_per_second: float
    seconds_per_token: float
    memory_bytes: float

    def run(self, experts: Ints, widths: Ints, order: LoadingOrder) -> PipelineRun:
        """`experts` and `widths` (tokens, top_k) are one layer's, the tokens as they arrived.

        Raises `Infeasible` when memory does not hold one expert.
        """
        state = _begun(experts, widths)
        parts = np.diff([0, *WIDTHS]) / 8 * self.expert_bytes
        wanted = len(WIDTHS) - (state.tokens[:, ::-1] > 0).argmax(1)
        wanted[state.tokens.sum(1) == 0] = 0
        whole = np.concatenate([[0.0], np.cumsum(parts)])
        if self.memory_bytes < whole[wanted].max():
            raise Infeasible(
                f"memory of {self.memory_bytes:g} bytes does not hold one expert of "
                f"{whole[wanted].max():g}; give more memory or fewer bits"
            )
        left = state.tokens.sum(1)
        loaded = np.zeros(len(wanted), np.int64)
        held = np.zeros(len(wanted))
        ready: list[tuple[int, int]] = []
        now = loading_until = busy_until = computed = peak = 0.0
        arriving: int | None = None
        computing: tuple[int, int] | None = None
        while left.any():
            if arriving is None:
                fits = (loaded < wanted) & np.array(
                    [self._safe(e, held, whole, loaded, wanted) for e in range(len(wanted))]
                )
                if fits.any():
                    view = LoadingState(state.tokens, state.first, loaded, fits)
                    arriving = order.decide(view, now, Price())
                    size = parts[loaded[arriving]]
                    held[arriving] += size
                    peak = max(peak, float(held.sum()))
                    loading_until = now + size / self.bytes_per_second
            if computing is None and ready:
                computing = ready.pop(0)
                seconds = computing[1] * self.seconds_per_token
                busy_until, computed = now + seconds, computed + seconds
            ends = [loading_until] * (arriving is not None) + [busy_until] * (computing is not None)
            now = min(ends)
            if computing is not None and busy_until <= now:
                expert, tokens = computing
                left[expert] -= tokens
                if not left[expert]:
                    held[expert] = 0.0
                computing = None
            if arriving is not None and loading_until <= now:
                if tokens := int(state.tokens[arriving, loaded[arriving]]):
                    ready.append((arriving, tokens))
                loaded[arriving] += 1
                arriving = None
        return PipelineRun(now, now - computed, peak)

    def _safe(self, expert: int, held: Floats, whole: Floats, loaded: Ints, wanted: Ints) -> bool:
        """Whether all begun experts can be finished after the next part of `expert` is loaded."""
        if loaded[expert] >= wanted[expert]:
            return False
        size = whole[loaded[expert] + 1] - whole[loaded[expert]]
        free = self.memory_bytes - held.sum() - size
        if free < 0:
            return False
        begun = held > 0
        begun[expert] = True
        rest = whole[wanted] - whole[loaded]
        rest[expert] -= size
        owns = held.copy()
        owns[expert] += size
        for other in np.argsort(rest + np.where(begun, 0.0, np.inf)):
            if not begun[other]:
                break
            if rest[other] > free + 1e-9:
                return False
            free += owns[other]
        return True


def _begun(experts: Ints, widths: Ints) -> LoadingState:
    """How many tokens each expert has at each width, and which came first."""
    size = int(experts.max()) + 1
    tokens = np.zeros((size, len(WIDTHS)), np.int64)
    first = np.full(tokens.shape, len(experts))
    level = np.searchsorted(WIDTHS, widths)
    place = np.broadcast_to(np.arange(len(experts))[:, None], experts.shape)
    np.add.at(tokens, (experts, level), 1)
    np.minimum.at(first, (experts, level), place)
    return LoadingState(tokens, first, np.zeros(size, np.int64), np.ones(size, bool))
