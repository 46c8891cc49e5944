"""`Outcomes`: what happens to each request while a simulation runs."""

import math


class Outcomes:
    """Lists by index in order of arrival, shared by the replicas; NaN is never (seconds)."""

    def __init__(self) -> None:
        self.outputs: list[int] = []
        """Tokens of each answer, which policies do not see."""
        self.replica: list[int] = []
        """-1: rejected."""
        self.admitted: list[float] = []
        self.first_token: list[float] = []
        self.finished: list[float] = []
        self.preemptions: list[int] = []
        self.moves: list[int] = []
        """How often it went to another replica while it was running."""
        self.stalled: list[float] = []
        """The longest wait for a token after a preemption or a move; 0.0 without either."""
        self.cached: list[int] = []
        """Tokens of the prompt that were cached when it was first admitted."""
        self.done: list[int] = []
        """Indices in order of completion."""

    def add(self, output: int) -> int:
        """Room for one more request; returns its index."""
        self.outputs.append(output)
        self.replica.append(-1)
        self.admitted.append(math.nan)
        self.first_token.append(math.nan)
        self.finished.append(math.nan)
        self.preemptions.append(0)
        self.moves.append(0)
        self.stalled.append(0.0)
        self.cached.append(0)
        return len(self.outputs) - 1
