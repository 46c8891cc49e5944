"""What the dashboard asks: each sees its own and nothing else, and the sums are the requests'."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seen_records import NOON, record
from seen_site import Moment, made_up, site
from sqlalchemy import select
from starlette.testclient import TestClient

from bursar.gateway.record import Record
from bursar.gateway.seen.frame import RANGES, Frame
from bursar.gateway.seen.journal import Journal
from bursar.gateway.seen.look import TOP, Look
from bursar.gateway.seen.tables import HOURS
from bursar.gateway.seen.used import running, window_start
from bursar.usage import Usage
from databases import KINDS, fresh_place

NOW = NOON + 1800.0
RECORDS = [
    *made_up(NOW, count=1500),
    record(account="", began_at=NOW - 5, served_by="", status=401),
]
ROOTS = {
    "sk-owner": "",
    "sk-admin": "acme",
    "sk-viewer": "acme/search",
    "sk-member": "acme/search/max",
    "sk-other": "globex",
}


def within(root: str, record: Record) -> bool:
    return not root or f"{record.account}/".startswith(root + "/")


@pytest.fixture(scope="module", params=KINDS)
def journal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Journal]:
    with fresh_place(request.param, tmp_path_factory.mktemp("seen")) as place:
        journal = Journal(place, every_s=600, clock=lambda: NOW)
        for each in RECORDS:
            journal(each)
        journal.flush()
        yield journal
        journal.close()


@pytest.fixture
def client(journal: Journal) -> TestClient:
    return TestClient(site(journal, Moment(NOW)))


def sign_in(client: TestClient, key: str) -> None:
    assert client.post("/admin/v1/session", json={"key": key}).status_code == 200


@pytest.mark.parametrize(("key", "root"), ROOTS.items())
def test_each_sees_what_is_at_and_below_its_root(client: TestClient, key: str, root: str) -> None:
    sign_in(client, key)
    mine = [each for each in RECORDS if within(root, each)]
    seen = client.get("/admin/v1/seen/overview", params={"range": "90d"}).json()
    assert seen["totals"]["requests"] == len(mine)
    assert seen["totals"]["usd"] == pytest.approx(sum(each.spent.usd or 0 for each in mine))
    others = {each.account for each in RECORDS} - {each.account for each in mine}
    for view in ("overview", "top", "live"):
        for query in ({}, {"team": "globex/lab"}, {"team": "acme/search"}, {"model": "small"}):
            said = client.get(f"/admin/v1/seen/{view}", params={"range": "90d", **query}).text
            assert not [account for account in others if account and f'"{account}"' in said]
    for what in ("requests", "hours", "days"):
        query = {"what": what, "range": "90d", "format": "csv"}
        table = pl.read_csv(io.BytesIO(client.get("/admin/v1/seen/export", params=query).content))
        column = "account" if what == "requests" else "key"
        assert not others - {""} & set(table[column].drop_nulls())
        if what == "requests":
            assert table.height == len(mine)


def test_another_teams_name_does_not_bring_it_into_view(client: TestClient) -> None:
    sign_in(client, "sk-viewer")
    for team in ("globex/lab", "acme/research", "acme", "acme/search/max", "%"):
        seen = client.get("/admin/v1/seen/overview", params={"team": team}).json()
        assert seen["totals"]["requests"] == 0
        assert not seen["series"]
    query = {"account": "globex/lab", "resource": "usd", "window": "day"}
    assert client.get("/admin/v1/seen/limit", params=query).status_code == 404
    budgets = client.get("/admin/v1/seen/overview").json()["budgets"]
    assert [budget["account"] for budget in budgets] == ["acme/search"]


def test_a_name_that_begins_alike_is_another(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/l.sqlite", every_s=600, clock=lambda: NOW)
    for account in ("acme/blue/a", "acme/blue2/b", "acme2/red/c", "acme/blue/a2/user"):
        journal(record(account=account, began_at=NOW))
    journal.flush()
    look = Look(journal.engine)
    for root, count in (("acme", 3), ("acme/blue", 2), ("acme/blue/a", 1), ("acme_", 0)):
        frame = Frame(root, now=NOW)
        assert look.overview(frame, "usd")["totals"]["requests"] == count
        assert len(look.latest(frame)) == len(look.top(frame, "slowest")) == count
    journal.close()


def test_who_is_not_signed_in_sees_nothing(client: TestClient) -> None:
    assert client.get("/admin/v1/seen/me").json()["signed_in"] is False
    for view in ("overview", "top", "live", "limit", "export"):
        reply = client.get(f"/admin/v1/seen/{view}")
        assert reply.status_code == 401
        assert "acme" not in reply.text


@pytest.mark.parametrize(
    "query", [{"range": "1y"}, {"resource": "usd; drop"}, {"format": "exe"}, {"what": "keys"}]
)
def test_what_is_not_there_is_refused(client: TestClient, query: dict[str, str]) -> None:
    sign_in(client, "sk-owner")
    view = "export" if query.keys() & {"format", "what"} else "overview"
    reply = client.get(f"/admin/v1/seen/{view}", params=query)
    assert reply.status_code == 400
    assert "choose one of" in reply.json()["error"]["message"]


@pytest.mark.parametrize("span", RANGES)
@pytest.mark.parametrize("model", ["", "large"])
@pytest.mark.parametrize("root", ["", "acme", "acme/search/max"])
def test_the_top_are_the_highest_of_all(journal: Journal, span: str, model: str, root: str) -> None:
    frame = Frame(root, span, model=model, now=NOW)
    mine = [
        each
        for each in RECORDS
        if within(root, each)
        and each.began_at >= frame.starts[0]
        and (not model or each.served_by.startswith(model + "@"))
    ]
    kept = [each for each in mine if each.began_at >= NOW - 30 * 86400]
    top = Look(journal.engine).top(frame, "slowest")
    assert [row["seconds"] for row in top] == heapq.nlargest(TOP, (r.seconds for r in kept))
    dearest = [row["spent_usd"] for row in Look(journal.engine).top(frame, "dearest")]
    assert dearest == [usd for usd in heapq.nlargest(TOP, (r.spent.usd or 0 for r in kept)) if usd]


def test_series_add_up(journal: Journal) -> None:
    frame = Frame("", "7d", now=NOW)
    for resource in ("usd", "tokens", "ended"):
        seen = Look(journal.engine).overview(frame, resource)
        assert len(seen["starts"]) == 7
        for i, start in enumerate(seen["starts"]):
            mine = [r for r in RECORDS if start <= r.began_at < start + 86400]
            found = sum(series["values"][i] for series in seen["series"])
            exact = (
                len(mine) if resource == "ended" else sum(r.spent.get(resource) or 0 for r in mine)
            )
            assert found == pytest.approx(exact)  # fmt: skip


def test_use_of_a_limit_starts_again_with_its_period(journal: Journal) -> None:
    used = Look(journal.engine).used(Frame("", "24h", now=NOW), "acme/search", "usd", "day")
    frame = Frame("", "24h", now=NOW)
    for start, found in zip(frame.starts, used, strict=True):
        begin = start - start % 86400
        mine = [r for r in RECORDS if begin <= r.began_at < start + 3600]
        exact = sum(r.spent.usd or 0 for r in mine if within("acme/search", r))
        assert found == pytest.approx(exact)
    assert Look(journal.engine).used(Frame("globex", now=NOW), "acme/search", "usd", "day") == []


WINDOWS = ("", "hour", "day", "week", "month", "rolling 3 h", "rolling 36 h", "rolling 2 h")


@settings(max_examples=60)
@given(
    st.dictionaries(st.integers(0, 400), st.integers(0, 9), max_size=40),
    st.sampled_from(WINDOWS),
    st.integers(0, 400),
)
def test_what_counts_is_what_lies_in_the_window(
    hours: dict[int, int], window: str, last: int
) -> None:
    base = 1_760_000_400 // 86400 * 86400
    amounts = {base + h * 3600: float(n) for h, n in hours.items()}
    start = base + last * 3600
    (found,) = running(amounts, [start], 3600, window)
    end = start + 3600
    begin = window_start(window, end - 1) + (1 if window.startswith("rolling") else 0)
    assert found == sum(n for at, n in amounts.items() if begin <= at < end)
    assert running(amounts, [start], 86400, "rolling 2 h") == [None]


def test_exports_agree(client: TestClient, journal: Journal) -> None:
    sign_in(client, "sk-owner")
    for what in ("requests", "hours", "days"):
        query = {"what": what, "range": "90d"}
        comma = client.get("/admin/v1/seen/export", params={**query, "format": "csv"})
        parquet = client.get("/admin/v1/seen/export", params={**query, "format": "parquet"})
        assert "attachment" in comma.headers["content-disposition"]
        table = pl.read_parquet(io.BytesIO(parquet.content))
        assert table.height > 100
        again = pl.read_csv(io.BytesIO(comma.content), schema=table.schema)
        assert again.with_columns(pl.col(pl.String).fill_null("")).equals(table)
    with journal.engine.begin() as connection:
        rows = connection.execute(select(HOURS).where(HOURS.c.start >= NOW - 90 * 86400)).all()
    hours = client.get("/admin/v1/seen/export?what=hours&range=90d&format=parquet")
    assert pl.read_parquet(io.BytesIO(hours.content)).height == len(rows)


def test_a_spreadsheet_runs_nothing_of_what_clients_wrote(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/l.sqlite", every_s=600, clock=lambda: NOW)
    journal(replace(record(began_at=NOW), model='=HYPERLINK("http://x")', spent=Usage()))
    journal.flush()
    client = TestClient(site(journal, Moment(NOW)))
    sign_in(client, "sk-owner")
    said = client.get("/admin/v1/seen/export?what=requests&format=csv").text
    assert "'=HYPERLINK" in said
    assert ",=HYPERLINK" not in said
    journal.close()


def test_the_page_allows_nothing_from_elsewhere(client: TestClient) -> None:
    reply = client.get("/dashboard")
    assert reply.status_code == 200
    policy = reply.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    for name in ("main.js", "style.css", "charts.js", "icon.svg"):
        file = client.get(f"/dashboard/{name}")
        assert file.headers["content-security-policy"] == policy
        assert "://" not in file.text.replace("http://www.w3.org/", "")
        again = client.get(f"/dashboard/{name}", headers={"if-none-match": file.headers["etag"]})
        assert again.status_code == 304
    assert client.get("/dashboard/../pages.py").status_code == 404
    assert client.get("/dashboard/none.js").status_code == 404
