"""Prometheus metrics of all workers of this machine, from whichever of them is asked.

Counts are kept in plain dictionaries, an addition each; prometheus_client only writes them out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bursar.gateway.record import Record
from bursar.gateway.seen.beat import Beat
from bursar.gateway.seen.sums import team_of
from bursar.gateway.seen.workers import Workers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ENDPOINTS = frozenset(("chat/completions", "completions", "responses", "embeddings"))
MOST_TEAMS = 200
"""Teams that have series of their own; later ones are counted together as "other"."""

_LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
_COMMIT_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

Labels = tuple[str, ...]
Merge = Literal["sum", "max", "own"]
Reading = Iterable[tuple[Labels, float]]


@dataclass(slots=True)
class _Counter:
    """Adds up, by labels."""

    name: str
    says: str
    labels: Labels
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, labels: Labels, amount: float) -> None:
        self.values[labels] = self.values.get(labels, 0.0) + amount


@dataclass(slots=True)
class _Histogram:
    """Counts below each bound, and the sum last, by labels."""

    name: str
    says: str
    labels: Labels
    bounds: tuple[float, ...]
    values: dict[Labels, list[float]] = field(default_factory=dict)

    def observe(self, labels: Labels, amount: float) -> None:
        row = self.values.get(labels)
        if row is None:
            row = self.values[labels] = [0.0] * (len(self.bounds) + 2)
        row[bisect_left(self.bounds, amount)] += 1
        row[-1] += amount


@dataclass(frozen=True, slots=True)
class _Gauge:
    """Read when asked. `merge` says how those of several workers become one."""

    name: str
    says: str
    labels: Labels
    merge: Merge
    read: Callable[[], Reading]


class Metrics:
    """An `OnRecord` that counts, and `render`s what it and the other workers counted.

    Workers of one machine share `folder`; a worker that is killed takes at most `every_s` of its
    counts with it.
    """

    def __init__(self, folder: Path | None = None, *, every_s: float = 1.0) -> None:
        self._workers = Workers(folder)
        self._teams: set[str] = set()
        self._gauges: list[_Gauge] = []
        self._shared: dict[str, Callable[[], list[Any]]] = {}
        self._requests = _Counter(
            "bursar_requests", "Requests that ended.", ("endpoint", "model", "status")
        )
        self._errors = _Counter("bursar_errors", "Requests that ended in an error.", ("code",))
        self._tokens = _Counter("bursar_tokens", "Tokens charged.", ("team", "model", "direction"))
        self._usd = _Counter("bursar_spent_usd", "Dollars charged.", ("team", "model"))
        self._saved = _Counter(
            "bursar_saved_usd", "Dollars less than the naive strategy's.", ("team",)
        )
        self._calls = _Counter("bursar_upstream_calls", "Calls to upstreams.", ("model",))
        self._seconds = _Histogram(
            "bursar_request_seconds",
            "From request to last byte.",
            ("endpoint", "model"),
            _LATENCY_S,
        )
        self._first = _Histogram(
            "bursar_first_token_seconds", "To the first token.", ("model",), _LATENCY_S
        )
        self._queued = _Histogram(
            "bursar_queued_seconds", "Waited for an upstream's turn.", ("model",), _LATENCY_S
        )
        self._commits = _Histogram(
            "bursar_ledger_commit_seconds", "Commits of the ledger.", (), _COMMIT_S
        )
        self._kept: tuple[_Counter | _Histogram, ...] = (
            *(self._requests, self._errors, self._tokens, self._usd, self._saved, self._calls),
            *(self._seconds, self._first, self._queued, self._commits),
        )
        self._beat = Beat("bursar-metrics", every_s, self.save)

    def __call__(self, record: Record) -> None:
        model = record.served_by.rpartition("@")[0]  # not as asked: a client may ask anything
        endpoint = record.endpoint if record.endpoint in ENDPOINTS else "other"
        self._requests.add((endpoint, model, str(record.status)), 1.0)
        self._seconds.observe((endpoint, model), record.seconds)
        if record.error:
            self._errors.add((record.error,), 1.0)
        if not record.calls:
            return
        team, spent = self._team(record.account), record.spent
        self._calls.add((model,), record.calls)
        self._tokens.add((team, model, "in"), spent.tokens_in or 0.0)
        self._tokens.add((team, model, "out"), spent.tokens_out or 0.0)
        if spent.usd is not None:
            self._usd.add((team, model), spent.usd)
        if record.saved_usd:
            self._saved.add((team,), record.saved_usd)
        if record.first_token_s is not None:
            self._first.observe((model,), record.first_token_s)
        if record.queued_s:
            self._queued.observe((model,), record.queued_s)

    def commit_took(self, seconds: float) -> None:
        """One commit of the ledger, from its one writing thread."""
        self._commits.observe((), seconds)

    def gauge(
        self,
        name: str,
        says: str,
        labels: Labels,
        read: Callable[[], Reading],
        *,
        merge: Merge = "sum",
    ) -> None:
        """Show what `read` gives at each scrape.

        `merge`: "sum" where each worker has its part (requests in flight), "max" where the worst
        counts, "own" where all workers see the same (the ledger's totals).
        """
        self._gauges.append(_Gauge(name, says, labels, merge, read))

    def share(self, name: str, read: Callable[[], list[Any]]) -> None:
        """Tell the other workers what `read` gives, such as the requests that run here."""
        self._shared[name] = read

    def gathered(self, name: str) -> list[Any]:
        """What this worker shares by `name`, then what the others do, as JSON."""
        found = list(self._shared[name]())
        for runs, page in self._workers.others():
            if runs:
                found += page["shared"].get(name, ())
        return found

    def render(self) -> bytes:
        """The text of /metrics."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Page(list(self._families())))
        return generate_latest(registry)

    def save(self) -> None:
        """Tell the other workers."""
        self._workers.publish(
            {
                "kept": {m.name: list(m.values.items()) for m in self._kept},
                "shared": {name: read() for name, read in self._shared.items()},
                "gauges": {g.name: list(g.read()) for g in self._gauges if g.merge != "own"},
            }
        )

    def close(self) -> None:
        """Tell the other workers for the last time."""
        self._beat.close()

    def _team(self, account: str) -> str:
        team = team_of(account)
        if team not in self._teams:
            if len(self._teams) >= MOST_TEAMS:
                return "other"
            self._teams.add(team)
        return team

    def _families(self) -> Iterator[Metric]:
        others = self._workers.others()
        for metric in self._kept:
            pages = [page["kept"].get(metric.name, ()) for _, page in others]
            yield _family(metric, _summed([list(metric.values.items()), *pages]))
        for gauge in self._gauges:
            readings = [gauge.read()]
            if gauge.merge != "own":
                readings += [page["gauges"].get(gauge.name, ()) for runs, page in others if runs]
            family = GaugeMetricFamily(gauge.name, gauge.says, labels=gauge.labels)
            for labels, value in _merged(readings, gauge.merge).items():
                family.add_metric(labels, value)
            yield family


class _Page(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(metric: _Counter | _Histogram, values: Mapping[Labels, Sequence[float]]) -> Metric:
    if isinstance(metric, _Counter):
        counter = CounterMetricFamily(metric.name, metric.says, labels=metric.labels)
        for labels, (value,) in values.items():
            counter.add_metric(labels, value)
        return counter
    histogram = HistogramMetricFamily(metric.name, metric.says, labels=metric.labels)
    for labels, row in values.items():
        below, buckets = 0.0, []
        for bound, count in zip((*metric.bounds, "+Inf"), row, strict=False):
            below += count
            buckets.append((str(bound), below))
        histogram.add_metric(labels, buckets, row[-1])
    return histogram


def _summed(pages: Iterable[Iterable[tuple[Iterable[str], Any]]]) -> dict[Labels, list[float]]:
    total: dict[Labels, list[float]] = {}
    for page in pages:
        for labels, value in page:
            row = value if isinstance(value, list) else [value]
            before = total.get(key := tuple(labels))
            total[key] = (
                list(row) if before is None else [a + b for a, b in zip(before, row, strict=True)]
            )
    return total


def _merged(
    readings: Iterable[Iterable[tuple[Iterable[str], float]]], merge: Merge
) -> dict[Labels, float]:
    found: dict[Labels, float] = {}
    for reading in readings:
        for labels, value in reading:
            key = tuple(labels)
            if key not in found:
                found[key] = value
            else:
                found[key] = max(found[key], value) if merge == "max" else found[key] + value
    return found
