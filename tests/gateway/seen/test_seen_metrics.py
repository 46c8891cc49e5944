"""Metrics: what one worker counts every worker shows, and clients can't multiply the series."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from seen_records import NOON, record
from seen_site import Account, Moment

from bursar.gateway.seen.gauges import add_gauges
from bursar.gateway.seen.journal import Journal
from bursar.gateway.seen.metrics import MOST_TEAMS, Metrics
from bursar.ledger import Ledger


def samples(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(v for _, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_request_is_counted() -> None:
    metrics = Metrics()
    metrics(record())
    metrics(record(status=429, error="budget_exhausted", served_by="", calls=0))
    metrics.commit_took(0.004)
    metrics.gauge("bursar_in_flight", "Requests in flight.", (), lambda: [((), 3.0)])
    seen = samples(metrics.render())
    assert seen["bursar_requests_total", ("chat/completions", "small", "200")] == 1
    assert seen["bursar_requests_total", ("chat/completions", "", "429")] == 1
    assert seen["bursar_errors_total", ("budget_exhausted",)] == 1
    assert seen["bursar_tokens_total", ("out", "small", "acme/blue")] == 50
    assert seen["bursar_spent_usd_total", ("small", "acme/blue")] == 0.01
    assert seen["bursar_upstream_calls_total", ("small",)] == 3
    assert seen["bursar_request_seconds_bucket", ("chat/completions", "0.25", "small")] == 1
    assert seen["bursar_request_seconds_bucket", ("chat/completions", "0.1", "small")] == 0
    assert seen["bursar_request_seconds_count", ("chat/completions", "small")] == 1
    assert seen["bursar_first_token_seconds_sum", ("small",)] == 0.05
    assert seen["bursar_ledger_commit_seconds_bucket", ("0.005",)] == 1
    assert seen["bursar_in_flight", ()] == 3
    metrics.close()


OTHER = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from seen_records import NOON, record
from seen_site import Account, Moment
from bursar.gateway.seen.metrics import Metrics
metrics = Metrics(Path({folder!r}), every_s=600)
metrics.gauge("bursar_in_flight", "Requests in flight.", (), lambda: [((), 2.0)])
metrics.gauge("bursar_price", "Price.", ("resource",), lambda: [(("usd",), 9.0)], merge="own")
for _ in range(5):
    metrics(record())
metrics.close()
"""


def test_one_worker_shows_what_all_counted(tmp_path: Path) -> None:
    code = OTHER.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=True)
    metrics = Metrics(tmp_path, every_s=600)
    metrics.gauge("bursar_in_flight", "Requests in flight.", (), lambda: [((), 1.0)])
    metrics.gauge("bursar_price", "Price.", ("resource",), lambda: [(("usd",), 4.0)], merge="own")
    metrics(record())
    seen = samples(metrics.render())
    assert seen["bursar_requests_total", ("chat/completions", "small", "200")] == 11
    assert seen["bursar_request_seconds_count", ("chat/completions", "small")] == 11
    assert seen["bursar_in_flight", ()] == 5
    assert seen["bursar_price", ("usd",)] == 4
    for file in tmp_path.glob("*.json"):
        os.utime(file, (1, 1))
    seen = samples(metrics.render())
    assert seen["bursar_in_flight", ()] == 1  # whoever is silent is gone
    assert seen["bursar_requests_total", ("chat/completions", "small", "200")] == 11
    metrics.close()


def test_an_earlier_process_of_the_same_number_is_not_lost(tmp_path: Path) -> None:
    for _ in range(2):
        metrics = Metrics(tmp_path, every_s=600)
        metrics(record())
        metrics.close()
    assert samples(metrics.render())["bursar_upstream_calls_total", ("small",)] == 6


def test_clients_do_not_multiply_the_series() -> None:
    metrics = Metrics()
    for i in range(500):
        metrics(record(model=f"m{i}", served_by="", endpoint=f"e{i}", status=404, calls=0))
        metrics(record(account=f"acme/team{i}/key"))
    seen = samples(metrics.render())
    assert sum(name == "bursar_requests_total" for name, _ in seen) == 2
    teams = {labels[1] for name, labels in seen if name == "bursar_spent_usd_total"}
    assert len(teams) == MOST_TEAMS + 1
    assert "other" in teams
    metrics.close()


def test_limits_prices_and_upstreams_are_shown_as_they_stand(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "ledger.sqlite"), every_s=600)
    metrics = Metrics()
    moment = Moment(NOON)
    key = Account("acme/blue/ann", 1, "1 USD", moment.accounts["acme/search"].standings)
    moment.accounts[key.account] = key
    add_gauges(metrics, moment, journal)
    seen = samples(metrics.render())
    assert seen["bursar_limit", ("acme/search", "usd", "day")] == 6
    assert seen["bursar_limit_left", ("acme/search", "usd", "day")] == 6 - 3.18 - 0.42
    assert seen["bursar_limit_spent", ("acme/research", "usd", "all time")] == 41.2
    assert not [labels for _, labels in seen if "acme/blue/ann" in labels]
    assert seen["bursar_upstream_down", ("haiku", "anthropic")] == 1
    assert seen["bursar_upstream_down", ("large", "far")] == 0.5
    assert seen["bursar_upstream_in_flight", ("small", "local")] == 3
    assert seen["bursar_price", ("tokens",)] == 1.34
    metrics.close()
    journal.close()


def test_the_ledgers_commits_are_timed() -> None:
    metrics = Metrics()
    with Ledger() as ledger:
        ledger.watch_commits(metrics.commit_took)
        for _ in range(3):
            ledger.set_limits("acme", "1 USD")
    seen = samples(metrics.render())
    assert seen["bursar_ledger_commit_seconds_count", ()] == 3
    assert 0 < seen["bursar_ledger_commit_seconds_sum", ()] < 10
    metrics.close()
