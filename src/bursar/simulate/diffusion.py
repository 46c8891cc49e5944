"""A server of a diffusion language model on virtual time: `simulate_diffusion`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from bursar.cost import Deployment, kv_cache_bytes, memory_bytes
from bursar.cost.shared_device import Operation, shared_device
from bursar.cost.work import ACTIVATION_BYTES, Rows, step_work
from bursar.errors import BadInput, Infeasible
from bursar.policies.diffusion import Denoise, DiffusionPolicy
from bursar.price import Price
from bursar.simulate.series import Floats
from bursar.workload.traces import Trace


@dataclass(frozen=True, slots=True)
class DiffusionServer:
    """A diffusion model on one device, and how its answers are filled in.

    An answer is filled in block by block of `block` tokens, in `block_steps` steps each, of which
    the first and then one in `refresh_every` is a refresh. Each head keeps the cache of its own
    `kept` share of the tokens. Logits of `logit_rows` tokens are computed and sampled from at a
    time (None: of all tokens that a step runs), `logit_bytes` for each number: 16 bits, and in 64
    bits a copy and the noise, as LLaDA samples. Raises `BadInput` for shares or counts that can't
    be, or more than one device.
    """

    deployment: Deployment
    block: int = 32
    block_steps: int = 16
    refresh_every: int = 16
    kept: float = 0.5
    logit_rows: int | None = None
    logit_bytes: float = 18.0

    def __post_init__(self) -> None:
        for name in ("block", "block_steps", "refresh_every"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} = {getattr(self, name)}; must be 1 or more")
        if self.logit_rows is not None and self.logit_rows < 1:
            raise BadInput(f"logit_rows = {self.logit_rows}; must be 1 or more, or None for all")
        if not 0 < self.kept <= 1:
            raise BadInput(f"kept = {self.kept}; must be in (0, 1]")
        if self.deployment.devices > 1:
            raise BadInput(f"{self.deployment.devices} devices; diffusion is simulated on one")

    @property
    def usable_bytes(self) -> float:
        """Memory of the device that may be used. Raises `BadInput` if it is not known."""
        usable = memory_bytes(self.deployment, 0, 0).usable
        if usable is None:
            raise BadInput(f"{self.deployment.device.name} has no known memory; choose another")
        return usable

    def memory(self, sequences: Sequence[int], query_tokens: int) -> float:
        """Bytes of weights, caches of sequences so long, and a step of so many tokens."""
        model = self.deployment.model
        rows = query_tokens if self.logit_rows is None else min(query_tokens, self.logit_rows)
        caches = kv_cache_bytes(model, sequences, self.deployment.kv_dtype)
        return (
            memory_bytes(self.deployment, 0, 0).weights
            + self.kept * float(caches.sum())
            + query_tokens * 8 * model.hidden * ACTIVATION_BYTES
            + rows * model.vocabulary * self.logit_bytes
        )

    def seconds(self, refreshes: Sequence[int], reuses: Sequence[int]) -> float:
        """One forward pass of sequences so long: all of each, and a block of each.

        Attention goes both ways: n new tokens that all see m are rows after m - (n + 1) / 2 others.
        """
        whole, cached = np.array(refreshes, dtype=float), self.kept * np.array(reuses, dtype=float)
        blocks = np.full(len(cached), float(self.block))
        new = np.concatenate([whole, blocks])
        seen = np.concatenate([whole, np.maximum(cached, blocks)])
        place, tokens = self.deployment, float(new.sum())
        groups = step_work(
            place.model,
            Rows.of(new, seen - (new + 1.0) / 2.0),
            tp=1,
            dp=1,
            dtype=place.dtype,
            kv_dtype=place.kv_dtype,
        )
        operations = [
            Operation(float(x.flops), float(x.bytes))
            for name, x in groups.items()
            if name != "head"
        ]
        parts = 1 if self.logit_rows is None else ceil(tokens / self.logit_rows)
        head = place.model.head_parameters
        logits = tokens * place.model.vocabulary * self.logit_bytes
        operations.append(
            Operation(2.0 * head * tokens, parts * head * ACTIVATION_BYTES + 2.0 * logits)
        )
        device = shared_device(place)
        launches = place.reached.seconds_per_layer * place.model.layers
        return launches + sum(map(device.seconds_alone, operations))


@dataclass(frozen=True, slots=True, eq=False)
class DiffusionRun:
    """What came of a trace; columns have a row per request. `peak_bytes`: most memory at a time."""

    trace: Trace
    finished_s: Floats
    peak_bytes: float
    steps: int

    @property
    def e2e_s(self) -> Floats:
        """(n,) time to the whole answer."""
        return self.finished_s - self.trace.arrival_s

    @property
    def tokens_per_second(self) -> float:
        """Answers' tokens over the time until the last is done."""
        return float(self.trace.output_tokens.sum() / self.finished_s.max())


def simulate_diffusion(
    trace: Trace, server: DiffusionServer, policy: DiffusionPolicy, *, price: Price | None = None
) -> DiffusionRun:
    """Serve a whole trace. Raises `Infeasible` for a sequence that alone needs too much memory."""
    engine, price = _Engine(server), price or Price()
    coming = [_job(server, i, *x) for i, x in enumerate(_rows(trace))][::-1]
    finished, now, steps = np.full(len(trace), math.nan), 0.0, 0
    while coming or engine.waiting or engine.running:
        if not engine.waiting and not engine.running:
            now = max(now, coming[-1].arrived)
        while coming and coming[-1].arrived <= now:
            engine.waiting.append(coming.pop())
        decision = policy.decide(engine, now, price)
        if not decision.step:
            need = server.memory([engine.waiting[0].tokens], engine.waiting[0].tokens) / 2**30
            raise Infeasible(
                f"a sequence of {engine.waiting[0].tokens} tokens needs up to {need:.1f} GiB, of "
                f"{server.usable_bytes / 2**30:.1f} to use: fewer logit_rows or a smaller `kept`"
            )
        now += engine.run(decision.admit, decision.step)
        steps += 1
        for job in engine.leave():
            finished[job.index] = now
    return DiffusionRun(trace, finished, engine.peak_bytes, steps)


def _rows(trace: Trace) -> Sequence[tuple[float, int, int]]:
    return list(
        zip(
            trace.arrival_s.tolist(),
            trace.input_tokens.tolist(),
            trace.output_tokens.tolist(),
            strict=True,
        )
    )


def _job(server: DiffusionServer, index: int, now: float, prompt: int, answer: int) -> Denoise:
    blocks = ceil(answer / server.block)
    return Denoise(index, prompt + blocks * server.block, blocks * server.block_steps, now)


class _Engine:
    """A `DiffusionState`."""

    def __init__(self, server: DiffusionServer) -> None:
        self._server = server
        self.waiting: list[Denoise] = []
        self.running: list[Denoise] = []
        self.peak_bytes = 0.0

    def is_refresh(self, job: Denoise) -> bool:
        """See `DiffusionState`."""
        return job.done % self._server.block_steps % self._server.refresh_every == 0

    def query_tokens(self, job: Denoise) -> int:
        """See `DiffusionState`."""
        return job.tokens if self.is_refresh(job) else self._server.block

    def fits(self, held: Sequence[Denoise], query_tokens: int) -> bool:
        """See `DiffusionState`."""
        need = self._server.memory([x.tokens for x in held], query_tokens)
        return need <= self._server.usable_bytes

    def run(self, admit: Sequence[Denoise], step: Sequence[Denoise]) -> float:
        """One step; returns its seconds."""
        for job in admit:
            self.waiting.remove(job)
            self.running.append(job)
        tokens = sum(map(self.query_tokens, step))
        need = self._server.memory([x.tokens for x in self.running], tokens)
        self.peak_bytes = max(self.peak_bytes, need)
        refreshes = [x.tokens for x in step if self.is_refresh(x)]
        reuses = [x.tokens for x in step if not self.is_refresh(x)]
        for job in step:
            job.done += 1
        taking_part = set(map(id, step))
        idle = [x for x in self.running if id(x) not in taking_part]
        self.running = idle + [x for x in self.running if id(x) in taking_part]
        return self._server.seconds(refreshes, reuses)

    def leave(self) -> list[Denoise]:
        """Those whose last step it was; they are gone."""
        done = [x for x in self.running if x.done == x.steps]
        self.running = [x for x in self.running if x.done < x.steps]
        return done
