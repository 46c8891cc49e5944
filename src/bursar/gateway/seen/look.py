"""Reads what requests came to: sums over a range, a limit's use over time, the requests on top.

Every query is kept to the teams, or the one key, at and below a root account. Only sums are read,
and of single requests those that an index leads to, so that a million rows cost what a thousand do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, func, select
from sqlalchemy.engine import Connection, Engine

from bursar.gateway.seen.frame import RANGES, Frame
from bursar.gateway.seen.sums import BOUNDS_S, DAY_S, quantile
from bursar.gateway.seen.tables import DAYS, HOURS, REQUESTS, known_teams
from bursar.gateway.seen.used import running, window_start
from bursar.ledger.schema import reading
from bursar.units import GRAINS, from_grains

TOP = 20
_MOST_SERIES = 7
_SHOWN = (
    *("ended", "calls", "estimated", "saved", "usd", "no_usd", "tokens_in", "tokens_out"),
    *(f"bucket_{i}" for i in range(len(BOUNDS_S) + 1)),
)
_FIRST_BUCKET = _SHOWN.index("bucket_0")
_PARTS = {
    "tokens": ("tokens_in", "tokens_out"),
    "flops": ("flops", "flops_t"),
    "bytes_moved": ("bytes_moved", "bytes_moved_t"),
}


class Look:
    """Looks at the records in a database. Methods may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = reading(engine)

    def overview(self, frame: Frame, resource: str) -> dict[str, Any]:
        """Sums of the range: of `resource` over time by team, and of everything by what it was."""
        with self._engine.begin() as connection:
            known = known_teams(connection)
            teams = frame.teams(known)
            by_team = _sums(connection, frame, teams, ("team", "start"), resource)
            kinds = list(_all_sums(connection, frame, teams))
            keys = _keys(connection, frame, teams) if len(teams) == 1 else []
        chosen = [row for model, _, _, row in kinds if not frame.model or model == frame.model]
        return {
            "starts": frame.starts,
            "step_s": RANGES[frame.range][1],
            "resource": resource,
            "series": _series(frame, by_team),
            "totals": _totals(chosen),
            "outcomes": _grouped((o, r) for m, _, o, r in kinds if frame.model in ("", m)),
            "teams": _teams(by_team),
            "keys": keys,
            "models": _grouped((m, r) for m, _, _, r in kinds),
            "strategies": _grouped((s, r) for m, s, _, r in kinds if frame.model in ("", m)),
            "known_teams": Frame(frame.root).teams(known),
        }

    def top(self, frame: Frame, by: str) -> list[dict[str, Any]]:
        """The slowest requests, or the "dearest", as far as single requests are still kept.

        A request among the N highest lies in one of the N cells whose highest are highest: so a
        few sums say where to look.
        """
        column, highest, grains = _TOPS[by]
        rows: list[dict[str, Any]] = []
        with self._engine.begin() as connection:
            teams = frame.teams(known_teams(connection))
            for team, hour, top in _highest_cells(connection, frame, teams, highest):
                if len(rows) == TOP and top < rows[-1][column.name] * grains - 1:
                    break
                place = and_(REQUESTS.c.team == team, REQUESTS.c.hour == hour)
                rows = _merged(rows, connection, frame, place, column)
        return rows

    def latest(self, frame: Frame) -> list[dict[str, Any]]:
        """The requests that were written last."""
        with self._engine.begin() as connection:
            if not frame.root and not frame.team and not frame.model:
                query = select(REQUESTS).order_by(REQUESTS.c.id.desc()).limit(TOP)
                return [dict(row) for row in connection.execute(query).mappings()]
            rows: list[dict[str, Any]] = []
            for team in frame.teams(known_teams(connection)):
                place = REQUESTS.c.team == team
                rows = _merged(rows, connection, frame, place, REQUESTS.c.id)
        return rows

    def used(self, frame: Frame, account: str, resource: str, window: str) -> list[float | None]:
        """How much of a limit of `account` was used at the end of each bucket of the range.

        None where a bucket is longer than the window. Only for accounts at and below the root.
        """
        if frame.root and account != frame.root and not account.startswith(frame.root + "/"):
            return []
        step = RANGES[frame.range][1]
        first, inside = window_start(window, frame.starts[0]), Frame(account)
        midnight = frame.starts[0] - frame.starts[0] % DAY_S
        tables: list[tuple[Table, int, int | None]] = [(frame.table, first - first % step, None)]
        if frame.table is HOURS and first < midnight and not window.startswith("rolling"):
            tables = [(DAYS, first, midnight), (HOURS, midnight, None)]
        amounts: dict[int, float] = {}
        with self._engine.begin() as connection:
            teams = inside.teams(known_teams(connection))
            for table, begin, end in tables:
                start = table.c.start
                where = [inside.sums(table, teams), start >= begin]
                where += [] if end is None else [start < end]
                query = select(start, *_columns(table.c, resource)).where(*where).group_by(start)
                for at, *parts in connection.execute(query):
                    amounts[at] = _amount(resource, parts)
        return running(amounts, frame.starts, step, window)


def _columns(table: Any, resource: str) -> list[Any]:
    return [func.sum(table[name]) for name in _PARTS.get(resource, (resource,))]


def _amount(resource: str, parts: Sequence[Any]) -> float:
    """The sum of one resource, in units, from the columns that hold it."""
    numbers = [int(part or 0) for part in parts]
    if resource in ("flops", "bytes_moved"):
        return from_grains(resource, numbers[0] + numbers[1] * 10**12)
    return from_grains(resource, sum(numbers)) if resource in GRAINS else float(sum(numbers))


def _sums(
    connection: Connection, frame: Frame, teams: Sequence[str], by: Sequence[str], resource: str
) -> list[tuple[str, int, float, int, float]]:
    """Team, start, amount of `resource`, requests, dollars."""
    table = frame.table.c
    where = [frame.sums(frame.table, teams), table.start >= frame.starts[0]]
    if frame.model:
        where.append(table.model == frame.model)
    columns = _columns(table, resource)
    groups = [table[name] for name in by]
    query = select(*groups, func.sum(table.ended), func.sum(table.usd), *columns)
    return [
        (team, start, _amount(resource, parts), int(requests), from_grains("usd", int(usd)))
        for team, start, requests, usd, *parts in connection.execute(
            query.where(*where).group_by(*groups)
        )
    ]


def _all_sums(
    connection: Connection, frame: Frame, teams: Sequence[str]
) -> Iterator[tuple[str, str, str, list[int]]]:
    """Model, strategy, outcome, and the sums of `_SHOWN`."""
    table = frame.table.c
    groups = (table.model, table.strategy, table.outcome)
    query = select(*groups, *(func.sum(table[name]) for name in _SHOWN))
    where = (frame.sums(frame.table, teams), table.start >= frame.starts[0])
    for model, strategy, outcome, *row in connection.execute(query.where(*where).group_by(*groups)):
        yield model, strategy, outcome, [int(n) for n in row]


def _keys(connection: Connection, frame: Frame, teams: Sequence[str]) -> list[dict[str, Any]]:
    """The keys of one team, the dearest first."""
    table = frame.table.c
    where = [table.level == "key", table.team.in_(teams), table.start >= frame.starts[0]]
    if frame.is_key:
        where.append(table.key == frame.root)
    if frame.model:
        where.append(table.model == frame.model)
    columns = (func.sum(table.ended), func.sum(table.usd), func.sum(table.tokens_out))
    query = select(table.key, *columns).where(*where).group_by(table.key)
    rows = [
        {
            "name": key,
            "requests": int(requests),
            "usd": from_grains("usd", int(usd)),
            "tokens_out": int(tokens),
        }
        for key, requests, usd, tokens in connection.execute(query)
    ]
    return sorted(rows, key=lambda row: -row["usd"])[:TOP]


def _series(frame: Frame, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """One list of amounts for each of the largest teams, and one for the others together."""
    totals: dict[str, float] = {}
    for team, _, amount, _, _ in rows:
        totals[team] = totals.get(team, 0.0) + amount
    largest = sorted(totals, key=lambda team: (-totals[team], team))
    shown = largest if len(largest) <= _MOST_SERIES + 1 else largest[:_MOST_SERIES]
    at = {start: i for i, start in enumerate(frame.starts)}
    values = {
        name: [0.0] * len(at)
        for name in [*shown, *(["others"] if len(shown) < len(largest) else [])]
    }
    for team, start, amount, _, _ in rows:
        if start in at:
            values[team if team in values else "others"][at[start]] += amount
    return [{"team": team, "values": amounts} for team, amounts in values.items()]


def _teams(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for team, _, amount, requests, usd in rows:
        row = found.setdefault(team, {"name": team, "requests": 0, "usd": 0.0, "amount": 0.0})
        row["requests"] += requests
        row["usd"] += usd
        row["amount"] += amount
    return sorted(found.values(), key=lambda row: -row["usd"])


def _totals(rows: Iterable[Sequence[int]]) -> dict[str, Any]:
    total = [0] * len(_SHOWN)
    for row in rows:
        total = [a + b for a, b in zip(total, row, strict=True)]
    of = dict(zip(_SHOWN, total, strict=True))
    return {
        "requests": of["ended"],
        "calls": of["calls"],
        "estimated": of["estimated"],
        "usd": from_grains("usd", of["usd"]),
        "unknown_usd": of["no_usd"],
        "tokens_in": of["tokens_in"],
        "tokens_out": of["tokens_out"],
        "saved_usd": from_grains("usd", of["saved"]),
        "p50_s": quantile(total[_FIRST_BUCKET:], 0.5),
        "p99_s": quantile(total[_FIRST_BUCKET:], 0.99),
    }


def _grouped(rows: Iterable[tuple[str, Sequence[int]]]) -> list[dict[str, Any]]:
    groups: dict[str, list[Sequence[int]]] = {}
    for name, row in rows:
        groups.setdefault(name, []).append(row)
    found = [{"name": name, **_totals(rows)} for name, rows in groups.items()]
    return sorted(found, key=lambda row: (-row["usd"], -row["requests"], row["name"]))


_TOPS: dict[str, tuple[Any, str, int]] = {
    "dearest": (REQUESTS.c.spent_usd, "dearest", GRAINS["usd"]),
    "slowest": (REQUESTS.c.seconds, "slowest_ns", 10**9),
}
"""What is highest: of requests, of sums, and how many units of these are one of those."""


def _highest_cells(
    connection: Connection, frame: Frame, teams: Sequence[str], highest: str
) -> list[tuple[str, int, int]]:
    """Team, hour and `highest` of the cells where it is highest: by day first, then hours of those.

    Sorted, so that whoever goes through them may stop at one that can't hold anything higher.
    """

    def cells(table: Table, *where: ColumnElement[bool]) -> list[tuple[str, int, int]]:
        of = table.c
        conditions = [frame.sums(table, teams), of[highest] > 0, *where]
        if frame.model:
            conditions.append(of.model == frame.model)
        top = func.max(of[highest])
        query = select(of.team, of.start, top).where(*conditions).group_by(of.team, of.start)
        return [(t, s, n) for t, s, n in connection.execute(query.order_by(top.desc()).limit(TOP))]

    found = cells(frame.table, frame.table.c.start >= frame.starts[0])
    if frame.table is HOURS:
        return found
    hours: list[tuple[str, int, int]] = []
    of = HOURS.c
    for team, day, top in found:
        if len(hours) == TOP and top < hours[-1][2]:
            break
        hours += cells(HOURS, of.team == team, of.start >= day, of.start < day + DAY_S)
        hours = sorted(hours, key=lambda cell: -cell[2])[:TOP]
    return hours


def _merged(
    rows: list[dict[str, Any]],
    connection: Connection,
    frame: Frame,
    place: ColumnElement[bool],
    order: Any,
) -> list[dict[str, Any]]:
    """The highest by `order` of `rows` and of those requests in `place` that are in view."""
    higher = order > rows[-1][order.name] if len(rows) == TOP else order.is_not(None)
    query = select(REQUESTS).where(place, higher, *frame.requests())
    found = connection.execute(query.order_by(order.desc()).limit(TOP)).mappings()
    both = [*rows, *(dict(row) for row in found)]
    return sorted(both, key=lambda row: -row[order.name])[:TOP]
