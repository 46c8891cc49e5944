"""Commands for a gateway's tenants: teams, keys, budgets.

Whoever may write the gateway's database may do everything; the audit log says "command line".
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bursar.cli.screen import AsJson, emit, plain_table, screen, split
from bursar.errors import BadInput
from bursar.ledger import Ledger
from bursar.units import format_amount, parse_amount

if TYPE_CHECKING:
    from bursar.gateway.tenants.budgets import AccountBudget
    from bursar.gateway.tenants.keys import Key
    from bursar.gateway.tenants.store import Tenants

teams = typer.Typer(help="A gateway's teams: create, list, close.", no_args_is_help=True)
keys = typer.Typer(help="A gateway's keys: create, rotate, revoke.", no_args_is_help=True)
budgets = typer.Typer(help="A gateway's limits: show, set.", no_args_is_help=True)

FIRST_ORGANISATION = "main"
_MOST = 100_000
_DAYS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*d\s*")

Place = Annotated[
    str,
    typer.Option(
        "--ledger",
        envvar="BURSAR_GATEWAY_LEDGER",
        help="the gateway's ledger: a file, or a postgresql:// address",
    ),
]
Limit = Annotated[str, typer.Option(help='such as "50 USD per month, 60 requests per minute"')]
KeyName = Annotated[str, typer.Argument(help="its id, or organisation/team/name")]
TeamName = Annotated[str, typer.Argument(help="organisation/team, or team where one has one")]
Models = Annotated[str, typer.Option(help='what it may ask for, such as "tiny-*,auto"')]
Expires = Annotated[str, typer.Option(help='such as "30d" or "12 h" from now; "never"')]
Role = Annotated[str, typer.Option(help="member, viewer, admin (of its organisation) or owner")]
Users = Annotated[str, typer.Option(help="limits of each of its end users")]
Degrade = Annotated[str, typer.Option(help='near a limit: "dear=cheap", joined by commas')]
Priority = Annotated[int, typer.Option(help="-100 to 100; higher goes first where requests queue")]
Weight = Annotated[float, typer.Option(help="share of a busy model, relative to others'")]
Where = "gateway.sqlite"


@teams.command("create")
def create_team(
    name: TeamName,
    title: Annotated[str, typer.Option(help="for people; may change")] = "",
    limit: Limit = "",
    ledger: Place = Where,
    as_json: AsJson = False,
) -> None:
    """Make a team; its organisation too, if that is not there."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_place

    with _tenants(ledger, create=True) as tenants:
        known = _organisations(tenants)
        organisation, slash, slug = name.partition("/")
        if not slash:
            organisation, slug = _only(known, name) if known else FIRST_ORGANISATION, name
        if organisation not in known:
            tenants.teams.create_organisation(COMMAND_LINE, organisation)
        made = tenants.teams.create_team(
            COMMAND_LINE, organisation, slug, title=title, limits=limit
        )
    screen(as_json).print(f"made {made.account}", highlight=False)
    if as_json:
        emit({**shown_place(made), "limits": limit})


@teams.command("list")
def list_teams(ledger: Place = Where, as_json: AsJson = False) -> None:
    """All teams and what limits them."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_place

    with _tenants(ledger) as tenants:
        found = tenants.teams.teams(COMMAND_LINE, most=_MOST)
        limits = {b.account: b.limits for b in tenants.budgets.listed(COMMAND_LINE, most=_MOST)}
    lines = [
        [
            t.account,
            t.title or "-",
            limits.get(t.account) or "-",
            _state(t.closed_at),
        ]
        for t in found
    ]
    screen(as_json).print(plain_table("teams", ["account", "title", "limits", "state"], lines))
    if as_json:
        emit({"teams": [{**shown_place(t), "limits": limits.get(t.account, "")} for t in found]})


@teams.command("close")
def close_team(name: TeamName, ledger: Place = Where, as_json: AsJson = False) -> None:
    """Revoke every key of a team or an organisation, for ever. What it spent stays booked."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_place

    with _tenants(ledger) as tenants:
        closed = tenants.teams.close(COMMAND_LINE, _account(tenants, name))
    screen(as_json).print(f"closed {closed.account}; its keys are revoked", highlight=False)
    if as_json:
        emit(shown_place(closed))


@keys.command("create")
def create_key(
    team: Annotated[str, typer.Option(help="organisation/team, or team where one has one")],
    name: Annotated[str, typer.Option(help="for ever, unique in the team, part of its account")],
    limit: Limit = "",
    models: Models = "*",
    expires: Expires = "never",
    role: Role = "member",
    users: Users = "",
    degrade: Degrade = "",
    priority: Priority = 0,
    weight: Weight = 1.0,
    ledger: Place = Where,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, once."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.keys import Rights

    rights = Rights(
        role=role,
        models=tuple(split(models)),
        priority=priority,
        weight=weight,
        user_limits=users,
        degrade=_pairs(degrade),
        expires_at=_moment(expires),
    )
    with _tenants(ledger) as tenants:
        key, secret = tenants.keys.create(
            COMMAND_LINE, _account(tenants, team), name, rights, limits=limit
        )
    _tell(key, secret, as_json)


@keys.command("list")
def list_keys(
    under: Annotated[str, typer.Argument(help="an organisation or a team; all when empty")] = "",
    ledger: Place = Where,
    as_json: AsJson = False,
) -> None:
    """Keys, with their state; never the keys themselves."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_key

    now = time.time()
    with _tenants(ledger) as tenants:
        below = _account(tenants, under) if under else ""
        found = tenants.keys.listed(COMMAND_LINE, under=below, most=_MOST)
    lines = [
        [
            key.account,
            f"{key.shown}…",
            key.rights.role,
            ", ".join(key.rights.models),
            key.state(now),
            _when(key.rights.expires_at),
            _when(key.last_used_at),
            key.id,
        ]
        for key in found
    ]
    heads = ["account", "key", "role", "models", "state", "expires", "last used", "id"]
    screen(as_json).print(plain_table(f"{len(found)} keys", heads, lines))
    if as_json:
        emit({"keys": [shown_key(key, now) for key in found]})


@keys.command("show")
def show_key(key: KeyName, ledger: Place = Where, as_json: AsJson = False) -> None:
    """One key: rights, state, limits."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_budget, shown_key

    with _tenants(ledger) as tenants:
        found = tenants.keys.show(COMMAND_LINE, _account(tenants, key))
        budget = tenants.budgets.read(COMMAND_LINE, found.account)
    document = {**shown_key(found, time.time()), "budget": shown_budget(budget)}
    pairs = [[name, str(value)] for name, value in document.items() if name != "budget"]
    screen(as_json).print(plain_table(found.account, ["field", "value"], pairs))
    _table_of([budget], as_json)
    if as_json:
        emit(document)


@keys.command("change")
def change_key(
    key: KeyName,
    models: Annotated[str | None, typer.Option(help="what it may ask for from now on")] = None,
    expires: Annotated[str | None, typer.Option(help='such as "30d"; "never"')] = None,
    role: Annotated[str | None, typer.Option(help="member, viewer, admin or owner")] = None,
    users: Annotated[str | None, typer.Option(help="limits of each of its end users")] = None,
    degrade: Annotated[str | None, typer.Option(help='"dear=cheap", joined by commas')] = None,
    priority: Annotated[int | None, typer.Option(help="-100 to 100")] = None,
    weight: Annotated[float | None, typer.Option(help="0.01 to 100")] = None,
    ledger: Place = Where,
    as_json: AsJson = False,
) -> None:
    """Change what a key may do; what is not given stays."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_key

    given: dict[str, Any] = {
        "models": None if models is None else tuple(split(models)),
        "role": role,
        "user_limits": users,
        "degrade": None if degrade is None else _pairs(degrade),
        "priority": priority,
        "weight": weight,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if expires is not None:
        changes["expires_at"] = _moment(expires)
    if not changes:
        raise BadInput("nothing to change: give --models, --expires, --role or another option")
    with _tenants(ledger) as tenants:
        found = tenants.keys.change(COMMAND_LINE, _account(tenants, key), **changes)
    screen(as_json).print(f"changed {found.account}", highlight=False)
    if as_json:
        emit(shown_key(found, time.time()))


@keys.command("rotate")
def rotate_key(
    key: KeyName,
    grace: Annotated[str, typer.Option(help="how long the old one goes on working")] = "0 s",
    ledger: Place = Where,
    as_json: AsJson = False,
) -> None:
    """Give a key a new text and show it, once; account, limits and rights stay."""
    from bursar.gateway.tenants.actor import COMMAND_LINE

    with _tenants(ledger) as tenants:
        found, secret = tenants.keys.rotate(
            COMMAND_LINE, _account(tenants, key), grace_s=_seconds(grace)
        )
    _tell(found, secret, as_json)


@keys.command("revoke")
def revoke_key(key: KeyName, ledger: Place = Where, as_json: AsJson = False) -> None:
    """End a key, for ever; running gateways see it within two seconds."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_key

    with _tenants(ledger) as tenants:
        found = tenants.keys.revoke(COMMAND_LINE, _account(tenants, key))
    screen(as_json).print(f"revoked {found.account}", highlight=False)
    if as_json:
        emit(shown_key(found, time.time()))


@budgets.command("show")
def show_budgets(
    account: Annotated[str, typer.Argument(help="organisation[/team[/key[/user]]]; or all")] = "",
    ledger: Place = Where,
    as_json: AsJson = False,
) -> None:
    """Limits: what is spent, held, left, and when a period ends."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_budget

    with _tenants(ledger) as tenants:
        if account:
            found = [tenants.budgets.read(COMMAND_LINE, _account(tenants, account))]
        else:
            found = tenants.budgets.listed(COMMAND_LINE, most=_MOST)
    _table_of(found, as_json)
    if as_json:
        emit({"budgets": [shown_budget(budget) for budget in found]})


@budgets.command("set")
def set_budget(
    account: Annotated[str, typer.Argument(help="organisation[/team[/key[/user]]]")],
    limits: Annotated[str, typer.Argument(help='such as "5 USD per day"; "" for none')],
    thresholds: Annotated[
        str | None, typer.Option(help='webhooks are told at these shares, such as "50%,80%"')
    ] = None,
    ledger: Place = Where,
    as_json: AsJson = False,
) -> None:
    """Limit an account, in place of the limits it had; what is spent stays spent."""
    from bursar.gateway.tenants.actor import COMMAND_LINE
    from bursar.gateway.tenants.documents import shown_budget

    shares = None if thresholds is None else [_share(text) for text in split(thresholds)]
    with _tenants(ledger) as tenants:
        budget = tenants.budgets.edit(
            COMMAND_LINE, _account(tenants, account), limits=limits, thresholds=shares
        )
    _table_of([budget], as_json)
    if as_json:
        emit(shown_budget(budget))


@contextmanager
def _tenants(place: str, create: bool = False) -> Iterator[Tenants]:
    """The tenants of the gateway at `place`; what is not there is bad input here."""
    from bursar.gateway.principal import Denied
    from bursar.gateway.tenants.store import Tenants

    if not create and "://" not in place and not Path(place).is_file():
        raise BadInput(
            f"no gateway's ledger at {place}; name it with --ledger or BURSAR_GATEWAY_LEDGER, or "
            "begin one: bursar teams create NAME"
        )
    with Ledger(place) as ledger:
        try:
            tenants = Tenants.at(place, ledger)
        except ModuleNotFoundError as missing:
            raise BadInput(
                f"the gateway needs {missing.name}: pip install 'bursar[gateway]'"
            ) from missing
        try:
            yield tenants
        except Denied as denied:
            said = str(denied).replace(" that this key may see", "")
            raise BadInput(f"{said}; bursar teams list and bursar keys list show all") from None
        finally:
            tenants.close()


def _organisations(tenants: Tenants) -> list[str]:
    from bursar.gateway.tenants.actor import COMMAND_LINE

    found = tenants.teams.organisations(COMMAND_LINE, most=_MOST)
    return [one.slug for one in found if one.closed_at is None]


def _only(organisations: list[str], name: str) -> str:
    if len(organisations) != 1:
        raise BadInput(
            f"{name!r} could be of {', '.join(organisations[:10]) or 'no organisation'}: write "
            f"organisation/{name}"
        )
    return organisations[0]


def _account(tenants: Tenants, name: str) -> str:
    """`name` with the only organisation before it, unless it begins with one; ids as they are."""
    known = _organisations(tenants)
    if name.startswith("key_") or name.partition("/")[0] in known or len(known) != 1:
        return name
    return f"{known[0]}/{name}"


def _tell(key: Key, secret: str, as_json: bool) -> None:
    from bursar.gateway.tenants.documents import shown_key

    said = screen(as_json)
    said.print(f"{key.account} ({key.id}); the key, which is not shown again:", highlight=False)
    said.print(secret, highlight=False, soft_wrap=True)
    if as_json:
        emit(shown_key(key, time.time(), secret))


def _table_of(found: list[AccountBudget], as_json: bool) -> None:
    lines = []
    for budget in found:
        at = " ".join(f"{share:.0%}" for share in budget.thresholds) or "-"
        for s in budget.standings:
            amounts = [format_amount(s.resource, x) for x in (s.limit, s.spent, s.held, s.left)]
            lines.append([budget.account, s.window or "all time", *amounts, _when(s.resets_at), at])
        if not budget.standings:
            lines.append([budget.account, "-", "no limit", "-", "-", "-", "-", at])
    heads = ["account", "per", "limit", "spent", "held", "left", "resets", "webhooks at"]
    screen(as_json).print(plain_table("budgets", heads, lines))


def _state(closed_at: float | None) -> str:
    return "open" if closed_at is None else "closed"


def _when(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")


def _moment(text: str) -> float | None:
    """Epoch seconds so long from now; None for "never"."""
    return None if text.strip() == "never" else time.time() + _seconds(text)


def _seconds(text: str) -> float:
    if match := _DAYS.fullmatch(text):
        return float(match[1]) * 86400.0
    try:
        resource, seconds = parse_amount(text)
    except BadInput:
        resource, seconds = "", math.nan
    if resource != "seconds":
        raise BadInput(f'{text!r} is no length of time: write such as "30d", "12 h" or "90 s"')
    return seconds


def _share(text: str) -> float:
    number = text.removesuffix("%")
    try:
        return float(number) / 100 if text.endswith("%") else float(number)
    except ValueError:
        raise BadInput(f'{text!r} is no share of a limit: write such as "80%" or "0.8"') from None


def _pairs(text: str) -> Mapping[str, str]:
    pairs = [part.partition("=") for part in split(text)]
    if bad := [name for name, sign, other in pairs if not (name and sign and other)]:
        raise BadInput(f'{bad[0]!r} names no model to use instead: write "dear=cheap"')
    return {name.strip(): other.strip() for name, _, other in pairs}
