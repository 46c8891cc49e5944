"""Replay: answers with recorded samples, drawn without replacement. No model, no network.

What a strategy would have got, had it been there when the samples were taken: the real model's
answers at the real price, so strategies are compared on the same recorded world.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bursar.backends.base import Completion, Request
from bursar.backends.draws import whole_number
from bursar.backends.effort import refuse_effort
from bursar.errors import BadInput, Exhausted
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class Recorded:
    """One sample that a model once gave. Unknown amounts are None.

    `answer` and `right` are what a checker said of `text`: for the task, never for the strategy.
    `estimated` marks token counts that the recording lacks and a reader filled in.
    """

    question_id: str
    text: str
    tokens_in: float | None = None
    tokens_out: float | None = None
    usd: float | None = None
    logprob: float | None = None
    answer: str | None = None
    right: bool | None = None
    arm: str = ""
    prompt: str = ""
    reward: float | None = None
    estimated: bool = False


class ReplayBackend:
    """The recorded samples of one arm (one model with one prompt).

    A question's samples are put in an order fixed by `Request.seed`; `Request.sample` counts
    along it, so the same request draws the same sample and distinct ones never repeat. A sample
    longer than `max_tokens` is cut there, its text in proportion (its dollars are kept: how they
    divide over the tokens is not recorded).
    """

    def __init__(self, samples: Iterable[Recorded], *, name: str = "replay") -> None:
        self.name = name
        self._samples: dict[str, list[Recorded]] = defaultdict(list)
        self._by_prompt: dict[str, str] = {}
        for sample in samples:
            self._samples[sample.question_id].append(sample)
            if sample.prompt:
                self._by_prompt.setdefault(sample.prompt, sample.question_id)
        if not self._samples:
            raise BadInput(f"{name}: no recorded samples; record at least one per question")
        self._most = {key: _largest(rows) for key, rows in self._samples.items()}
        self._orders: dict[tuple[int, str], Sequence[int]] = {}

    @property
    def question_ids(self) -> list[str]:
        """Which questions were recorded, in the order of the recording."""
        return list(self._samples)

    def recorded(self, question_id: str) -> int:
        """How many samples of a question there are."""
        return len(self._samples.get(question_id, ()))

    def samples(self, question_id: str) -> list[Recorded]:
        """The recorded samples of a question, in the order of the recording."""
        return list(self._samples.get(question_id, ()))

    def upper_bound(self, request: Request) -> Usage:
        """The largest recorded sample of the question; it does not tell which one comes next."""
        refuse_effort(self.name, [request])
        return _cut(self._most[self._key(request)], request.max_tokens)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Raises `Exhausted` before anything is spent when one of `requests` has no sample left."""
        refuse_effort(self.name, requests)
        drawn = [self._draw(request) for request in requests]
        return [_completion(s, r.max_tokens) for s, r in zip(drawn, requests, strict=True)]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _draw(self, request: Request) -> Recorded:
        key = self._key(request)
        rows = self._samples[key]
        if not 0 <= request.sample < len(rows):
            raise Exhausted(
                f"{self.name}: question {key!r} has {len(rows)} recorded samples and sample number "
                f"{request.sample} (from 0) was asked; record more, or ask for at most {len(rows)}",
                usage=Usage.zero(),
            )
        order = self._orders.get((request.seed, key))
        if order is None:
            rng = np.random.default_rng(whole_number(request.seed, key))
            order = self._orders[request.seed, key] = rng.permutation(len(rows)).tolist()
        return rows[order[request.sample]]

    def _key(self, request: Request) -> str:
        if request.prefix:
            raise BadInput(f"{self.name}: a recording can't continue a prefix; use a live backend")
        if request.question_id in self._samples:
            return request.question_id
        if request.prompt in self._by_prompt:
            return self._by_prompt[request.prompt]
        raise BadInput(
            f"{self.name}: question {request.question_id!r} was not recorded; "
            f"{len(self._samples)} were, the first is {next(iter(self._samples))!r}"
        )


def read_samples(path: str | Path, *, arm: str | None = None) -> list[Recorded]:
    """Samples of a JSONL file, one JSON object a line.

    Keys: `question_id` or `id`; one of `text`, `answer`, `right` (true | false); and, when known,
    `tokens_in`, `tokens_out`, `usd`, `logprob`, `reward`, `prompt`, `arm`. `arm` keeps one arm of
    several. Raises `BadInput` with the file and the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"recording {path}: can't be read ({error}); name a JSONL file") from None
    samples = [
        _parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line
    ]
    arms = sorted({sample.arm for sample in samples})
    if arm is None and len(arms) > 1:
        raise BadInput(f"recording {path} holds {len(arms)} arms, name one of: {', '.join(arms)}")
    kept = [sample for sample in samples if arm is None or sample.arm == arm]
    if not kept:
        held = f"no samples of arm {arm!r}, only of: {', '.join(arms)}" if arms else "no samples"
        raise BadInput(f"recording {path} holds {held}")
    return kept


def _parse(line: str, where: str) -> Recorded:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}: not a JSON object ({error.msg}); mend or drop the line") from None
    if not isinstance(row, dict) or ("question_id" not in row and "id" not in row):
        raise BadInput(f"{where}: needs a question_id (or id)")
    right = row.get("right")
    answer = row.get("answer")
    if answer is None and isinstance(right, bool):
        answer = "right" if right else "wrong"
    text = row.get("text", answer)
    if text is None:
        raise BadInput(f"{where}: needs a text, an answer, or right = true | false")
    return Recorded(
        question_id=str(row.get("question_id", row.get("id"))),
        text=str(text),
        answer=None if answer is None else str(answer),
        right=right,
        arm=str(row.get("arm", "")),
        prompt=str(row.get("prompt", "")),
        logprob=_number(row, "logprob", where, least=-np.inf),
        reward=_number(row, "reward", where, least=-np.inf),
        tokens_in=_number(row, "tokens_in", where),
        tokens_out=_number(row, "tokens_out", where),
        usd=_number(row, "usd", where),
    )


def _number(row: Mapping[str, object], key: str, where: str, least: float = 0.0) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < np.inf:
        raise BadInput(f"{where}: {key} is {value!r}; it must be a number from {least:g}, or null")
    return float(value)


def _usage(sample: Recorded) -> Usage:
    return Usage(tokens_in=sample.tokens_in, tokens_out=sample.tokens_out, usd=sample.usd)


def _largest(rows: Sequence[Recorded]) -> Usage:
    """The most of each resource over `rows`; None where one of them does not tell."""

    def most(values: list[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return max(known) if len(known) == len(values) else None

    return Usage(
        tokens_in=most([r.tokens_in for r in rows]),
        tokens_out=most([r.tokens_out for r in rows]),
        usd=most([r.usd for r in rows]),
    )


def _cut(usage: Usage, max_tokens: int) -> Usage:
    out = usage.tokens_out
    return Usage(
        tokens_in=usage.tokens_in,
        tokens_out=None if out is None else min(out, max_tokens),
        usd=usage.usd,
    )


def _completion(sample: Recorded, max_tokens: int) -> Completion:
    text, stop_reason = sample.text, "stop"
    if sample.tokens_out is not None and sample.tokens_out > max_tokens:
        text, stop_reason = text[: int(len(text) * max_tokens / sample.tokens_out)], "length"
    logprob = sample.logprob if stop_reason == "stop" else None
    return Completion(
        text=text,
        usage=_cut(_usage(sample), max_tokens),
        stop_reason=stop_reason,
        logprobs=None if logprob is None else np.array([logprob], dtype=np.float32),
        estimated=sample.estimated,
        meta={} if sample.reward is None else {"reward": repr(sample.reward)},
    )
