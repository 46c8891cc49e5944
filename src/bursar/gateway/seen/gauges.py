"""What the gateway's metrics show of this moment: limits, prices, upstreams, what was dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bursar.gateway.seen.journal import Journal
from bursar.gateway.seen.metrics import MOST_TEAMS, Labels, Metrics
from bursar.gateway.seen.now import Now, Standing

_OF_A_LIMIT: dict[str, tuple[str, Callable[[Standing], float]]] = {
    "bursar_limit": ("Limits, in the unit of their resource.", lambda s: s.limit),
    "bursar_limit_spent": ("Spent of a limit in its period.", lambda s: s.spent),
    "bursar_limit_held": ("Held of a limit.", lambda s: s.held),
    "bursar_limit_left": ("Neither spent nor held.", lambda s: s.limit - s.spent - s.held),
}


def add_gauges(metrics: Metrics, now: Now, journal: Journal) -> None:
    """Show at each scrape what `now` knows. Limits of organisations and teams, not of keys."""
    labels = ("account", "resource", "window")
    for name, (says, of) in _OF_A_LIMIT.items():
        metrics.gauge(name, says, labels, lambda of=of: _limits(now, of), merge="own")  # type: ignore[misc]
    metrics.gauge(
        "bursar_price",
        "The worth of a unit below which nothing is let in now.",
        ("resource",),
        lambda: [((resource,), value) for resource, value in now.price().items()],
        merge="own",
    )
    upstream = ("upstream", "model")
    metrics.gauge(
        "bursar_upstream_down",
        "1 where a worker has stopped asking an upstream, 0.5 where it tries again.",
        upstream,
        lambda: [
            ((u["name"], u["model"]), {"up": 0.0, "trying": 0.5}.get(u["state"], 1.0))
            for u in now.upstreams()
        ],
        merge="max",
    )
    metrics.gauge(
        "bursar_upstream_in_flight",
        "Calls to an upstream under way.",
        upstream,
        lambda: [
            ((u["name"], u["model"]), float(u["in_flight"]))
            for u in now.upstreams()
            if "in_flight" in u
        ],
    )
    metrics.gauge(
        "bursar_records_dropped",
        "Records of requests lost because the database could not be written.",
        (),
        lambda: [((), float(journal.dropped))],
    )


def _limits(now: Now, of: Callable[[Standing], float]) -> Iterator[tuple[Labels, float]]:
    accounts = [budget for budget in now.budgets("") if budget.account.count("/") < 2]
    for budget in accounts[:MOST_TEAMS]:
        for standing in budget.standings:
            window = standing.window or "all time"
            yield (budget.account, standing.resource, window), of(standing)
