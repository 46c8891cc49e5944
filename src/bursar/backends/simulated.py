"""Simulated: a model with a known chance of being right, for testing strategies by the million.

A question is right with a chance that is drawn once (its difficulty) or read off a value curve;
a wrong attempt gives one of K wrong answers, the likeliest first, so that voting can go astray.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Protocol

from scipy import special

from bursar.backends.base import Completion, Request
from bursar.backends.draws import uniforms
from bursar.backends.effort import refuse_effort
from bursar.backends.token_price import TokenPrice
from bursar.cost import Deployment, request_cost
from bursar.errors import BadInput
from bursar.usage import Usage
from bursar.value.base import ValueCurve
from bursar.workload.tasks.base import Question

RIGHT = "right"
_NORMAL = NormalDist()

CallCost = Callable[[int, int], Usage]
"""(tokens in, tokens out) -> what such a call uses; never less for more tokens."""


@dataclass(frozen=True)
class DeviceCost:
    """A `CallCost`: the predicted step costs of a request among `batch` alike on a deployment."""

    deployment: Deployment
    batch: int = 1
    _known: dict[tuple[int, int], Usage] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, tokens_in: int, tokens_out: int) -> Usage:
        key = tokens_in, tokens_out
        if key not in self._known:
            cost = request_cost(self.deployment, tokens_in, tokens_out, batch=self.batch)
            self._known[key] = cost.usage
        return self._known[key]


class Success(Protocol):
    """The chance in [0, 1] that an attempt of `tokens_out` tokens at a question is right."""

    def __call__(self, question_id: str, tokens_out: int) -> float: ...


@dataclass(frozen=True, slots=True)
class BetaDifficulty:
    """Each question has its own chance, from a Beta(`right`, `wrong`), whatever is spent on it."""

    right: float = 1.0
    wrong: float = 1.0
    seed: int = 0
    _chances: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.right > 0 and self.wrong > 0):
            raise BadInput(f"Beta({self.right}, {self.wrong}): both must be above 0")

    def __call__(self, question_id: str, tokens_out: int) -> float:
        if question_id not in self._chances:
            u = uniforms("difficulty", self.seed, question_id)[0]
            self._chances[question_id] = float(special.betaincinv(self.right, self.wrong, u))
        return self._chances[question_id]


@dataclass(frozen=True, slots=True)
class CurveSuccess:
    """The chance is a value curve of the attempt's tokens, the same for every question."""

    curve: ValueCurve
    _chances: dict[int, float] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, question_id: str, tokens_out: int) -> float:
        if tokens_out not in self._chances:
            self._chances[tokens_out] = float(self.curve.value(tokens_out))
        return self._chances[tokens_out]


@dataclass(frozen=True, slots=True)
class SimulatedBackend:
    """Draws fixed by (request seed, question, sample). Costs what `cost` says of its tokens,
    or its tokens at `price`.

    Lengths are lognormal: median `median_tokens`, `spread` the standard deviation of the
    logarithm. An attempt cut at `max_tokens` states no answer. Wrong answer k of K has a weight of
    1 / (k + 1)^`skew`: skew 0 makes them equally likely. A prompt has one token per 4 characters.
    """

    success: Success = field(default_factory=BetaDifficulty)
    wrong_answers: int = 8
    skew: float = 1.0
    median_tokens: float = 200.0
    spread: float = 0.5
    cost: CallCost | None = None
    price: TokenPrice | None = None
    name: str = "simulated"
    _cuts: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.wrong_answers < 1 or self.median_tokens < 1 or self.spread < 0:
            raise BadInput(
                f"{self.name}: needs wrong_answers >= 1, median_tokens >= 1 and spread >= 0, got "
                f"{self.wrong_answers}, {self.median_tokens:g} and {self.spread:g}"
            )
        weights = [(k + 1) ** -self.skew for k in range(self.wrong_answers)]
        total, cuts = 0.0, []
        for weight in weights:
            total += weight / sum(weights)
            cuts.append(total)
        object.__setattr__(self, "_cuts", cuts)

    def upper_bound(self, request: Request) -> Usage:
        """Exact for the prompt, `max_tokens` for the attempt."""
        refuse_effort(self.name, [request])
        return self._cost(_tokens_in(request), request.max_tokens)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        refuse_effort(self.name, requests)
        return [self._sample(request) for request in requests]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _sample(self, request: Request) -> Completion:
        key = request.question_id or request.prompt
        u_right, u_wrong, u_length, _ = uniforms(request.seed, key, request.sample)
        wanted = self.median_tokens * math.exp(self.spread * _NORMAL.inv_cdf(u_length))
        tokens_out = min(math.ceil(wanted), request.max_tokens)
        usage = self._cost(_tokens_in(request), tokens_out)
        if wanted > request.max_tokens:
            return Completion(text="", usage=usage, stop_reason="length")
        text = RIGHT if u_right < self.success(key, tokens_out) else ""
        return Completion(text=text or self._wrong(u_wrong), usage=usage, stop_reason="stop")

    def _wrong(self, u: float) -> str:
        k = next((k for k, cut in enumerate(self._cuts) if u < cut), self.wrong_answers - 1)
        return f"wrong-{k}"

    def _cost(self, tokens_in: int, tokens_out: int) -> Usage:
        if self.cost is not None:
            return self.cost(tokens_in, tokens_out)
        return Usage(
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            usd=None if self.price is None else self.price.usd(tokens_in, tokens_out),
        )


def _tokens_in(request: Request) -> int:
    return max(1, math.ceil(len(request.prompt) / 4) + math.ceil(len(request.prefix) / 4))


@dataclass(frozen=True, slots=True)
class SimulatedTask:
    """Questions for a `SimulatedBackend`: the answer is what the text says, "right" is right."""

    name: str = "simulated"
    verifiable: bool = False
    levels: tuple[str, ...] = ("",)
    max_tokens: int = 4096

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        return [
            Question(id=f"{split}-{seed}-{i}", task=self.name, prompt=f"question {i}", answer=RIGHT)
            for i in range(count)
        ]

    def extract(self, question: Question, text: str) -> str | None:
        return text or None

    def check(self, question: Question, answer: str | None) -> bool:
        return answer == RIGHT


_BETA = ("right", "wrong", "seed")
_NUMBERS = ("wrong_answers", "skew", "median_tokens", "spread")
_PRICE = ("usd_per_mtok_in", "usd_per_mtok_out")


def parse_simulated(text: str, **options: Any) -> SimulatedBackend:
    """From "" or ":key=number,...", keys as in `BetaDifficulty`, here, and in `TokenPrice`."""
    given: dict[str, float] = {}
    for part in filter(None, text.removeprefix(":").split(",")):
        key, _, value = part.partition("=")
        if key.strip() not in (*_BETA, *_NUMBERS, *_PRICE):
            raise BadInput(
                f"simulated: unknown key {key.strip()!r}; use "
                + ", ".join((*_BETA, *_NUMBERS, *_PRICE))
            )
        try:
            given[key.strip()] = float(value)
        except ValueError:
            raise BadInput(f"simulated: {key}={value!r} is not a number") from None
    beta = {k: given[k] for k in _BETA if k in given}
    numbers: dict[str, Any] = {k: given[k] for k in _NUMBERS if k in given}
    if "wrong_answers" in numbers:
        if not numbers["wrong_answers"].is_integer():
            raise BadInput(f"simulated: wrong_answers={numbers['wrong_answers']} is not whole")
        numbers["wrong_answers"] = int(numbers["wrong_answers"])
    price = [given[k] for k in _PRICE if k in given]
    if len(price) == 1:
        raise BadInput("simulated: give both usd_per_mtok_in and usd_per_mtok_out, or neither")
    return SimulatedBackend(
        success=BetaDifficulty(**beta),  # type: ignore[arg-type]
        price=TokenPrice(*price) if price else None,
        **numbers,
        **options,
    )
