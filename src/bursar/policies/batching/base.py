"""What a batching policy is: before each step of an engine it says who runs, and how much.

The engine (simulated or real) keeps the state; a policy only reads it, keeps none of its own, and
does not know how long an answer will be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bursar.errors import BadInput
from bursar.price import Price


class Segment(NamedTuple):
    """A part of a prompt that others may begin with too, in whole blocks."""

    key: int
    """The same for two prompts when all up to the end of this part is the same."""
    blocks: int
    end: int
    """Tokens of the prompt up to its end."""


@dataclass(slots=True, eq=False)
class Job:
    """One request as a policy may see it. The engine moves the counters."""

    index: int
    """Position in order of arrival; breaks ties."""
    prompt: int
    arrived: float
    priority: int = 0
    """Smaller goes first."""
    generated: int = 0
    """Tokens of the answer when it was last admitted or preempted."""
    target: int = 0
    """Tokens to prefill before the next one comes out: the prompt, after a preemption the answer
    so far too."""
    computed: int = 0
    """How many of `target` are in the cache."""
    preemptions: int = 0
    prefix: tuple[Segment, ...] = ()
    """How the prompt begins, as far as that may be shared; after a preemption, the rest too."""
    received: int = 0
    """Tokens of its cache that another engine has computed and sent along, or that the host has."""
    conversation: int = -1
    """Its prompt begins with the prompt and answer of the one before it here; -1: with none."""

    @property
    def rank(self) -> tuple[int, int]:
        """Order of service: by priority, then first come first served."""
        return self.priority, self.index

    @property
    def resumes(self) -> bool:
        """Whether it can go on decoding as soon as its cache is back."""
        return self.generated > 0 and self.received == self.target - 1


class Chunk(NamedTuple):
    """`tokens` of a job's prefill, from where it stands. A waiting job is thereby admitted.

    When its cache is on the host it comes back first, and the engine may decode without it until
    then. It then goes on decoding, or is among `BatchState.prefilling` if more is to prefill.
    """

    job: Job
    tokens: int


class Decision(NamedTuple):
    """What the next step does. One that only decodes is repeated until something happens.

    The engine asks again after a preemption, a prefill, a completion, the return of a cache, when a
    decode step lacks blocks, after `most_steps` or `until`, and on an arrival unless `deaf`. A
    policy that is asked earlier must answer the same: that is what allows the engine to run many
    steps at once.
    """

    preempt: tuple[Job, ...] = ()
    """Freed first: they lose their cache and wait again."""
    chunks: Sequence[Chunk] = ()
    decode: bool = True
    """Whether each decoding job gets a token."""
    deaf: bool = False
    """No arrival can change this."""
    most_steps: int | None = None
    swap: tuple[Job, ...] = ()
    """Freed first too, but their caches wait in the host's memory, if there is room."""
    until: float = math.inf
    """Seconds: the last step that begins before it is the last one."""


HISTORY = 1000
"""Answers that an engine remembers the lengths of."""

DECODE = Decision()
DECODE_DEAF = Decision(deaf=True)


class BatchState(Protocol):
    """What an engine shows to a policy. Blocks are of `block_tokens` tokens of KV cache."""

    @property
    def waiting(self) -> Sequence[Job]:
        """Not admitted, by `Job.rank`."""
        ...

    @property
    def running(self) -> Mapping[int, Job]:
        """Admitted, by index, in order of admission."""
        ...

    @property
    def prefilling(self) -> Sequence[Job]:
        """Those of `running` whose prefill is not complete."""
        ...

    @property
    def block_tokens(self) -> int:
        """Tokens in a block."""
        ...

    @property
    def blocks(self) -> int:
        """Blocks in all."""
        ...

    @property
    def free_blocks(self) -> int:
        """Blocks that nobody holds."""
        ...

    @property
    def growth_blocks(self) -> int:
        """Blocks that the decoding jobs need for their next step."""
        ...

    def held_blocks(self, job: Job) -> int:
        """Blocks that only this running job holds; it got those of its prefill on admission."""
        ...

    def needed_blocks(self, job: Job) -> int:
        """Free blocks that the admission of a waiting job takes."""
        ...

    def cached_tokens(self, job: Job) -> int:
        """Tokens of a waiting job's `target`, but not all, that need no prefill."""
        ...

    def grows(self, job: Job) -> bool:
        """Whether a running job needs a block for its next decode step."""
        ...

    def generated(self, job: Job) -> int:
        """Tokens of a job's answer so far, also while it decodes."""
        ...

    @property
    def finished_outputs(self) -> Sequence[int]:
        """Tokens of the last answers that were finished here, at most `HISTORY`, rising."""
        ...


class BatchPolicy(Protocol):
    """Decides what an engine's next step does."""

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        """The next step. Pure: the same state, time (seconds) and price give the same answer.

        It must leave enough free blocks: for admitted jobs their whole prefill, and, if it
        decodes, `growth_blocks` after preemption.
        """
        ...


def blocks_for(tokens: int, block_tokens: int) -> int:
    """Blocks that hold so many tokens."""
    return -(-tokens // block_tokens)


def victims(state: BatchState) -> tuple[Job, ...]:
    """Whom to preempt so that the others can decode: the last in rank, as few as will do."""
    free, need = state.free_blocks, state.growth_blocks
    if need <= free:
        return ()
    chosen: list[Job] = []
    for job in sorted(state.running.values(), key=lambda job: job.rank, reverse=True):
        chosen.append(job)
        free += state.held_blocks(job)
        need -= state.grows(job)
        if need <= free:
            break
    return tuple(chosen)


def begun(state: BatchState) -> list[Chunk]:
    """What is left to prefill of the jobs whose prefill has begun, or whose cache came back."""
    return [Chunk(job, job.target - job.computed) for job in state.prefilling]


def require_at_least_one(**limits: int) -> None:
    """Raises `BadInput` naming the first limit below 1."""
    for name, limit in limits.items():
        if limit < 1:
            raise BadInput(f"{name} = {limit}; must be 1 or more")
