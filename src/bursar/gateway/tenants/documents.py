"""What the admin API is sent and what it shows: JSON in, checked; JSON out, without secrets."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bursar.errors import BadInput
from bursar.gateway.tenants.audit import Change
from bursar.gateway.tenants.budgets import AccountBudget
from bursar.gateway.tenants.keys import Key, Rights
from bursar.gateway.tenants.teams import Organisation, Team
from bursar.gateway.tenants.webhooks import Webhook
from bursar.ledger import Totals

Text = Annotated[str, Field(max_length=1000)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Body(BaseModel):
    """What may be sent; what is not named here is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewOrganisation(Body):
    """`slug` is for ever."""

    slug: Text
    title: Text = ""
    limits: Text = ""


class NewTeam(NewOrganisation):
    """`organisation` is its slug."""

    organisation: Text


class Title(Body):
    """The only thing of an organisation or a team that changes."""

    title: Text


class KeyRights(Body):
    """See `Rights`."""

    role: Text = "member"
    models: tuple[Text, ...] = ("*",)
    priority: int = 0
    weight: Number = 1.0
    user_limits: Text = ""
    degrade: dict[Text, Text] = {}
    expires_at: Number | None = None


class NewKey(KeyRights):
    """`team` is an account, organisation/team."""

    team: Text
    name: Text
    limits: Text = ""

    @property
    def rights(self) -> Rights:
        """The part that a key keeps."""
        return Rights(**{name: getattr(self, name) for name in KeyRights.model_fields})


class Rotation(Body):
    """Seconds for which the key from before goes on working."""

    grace_s: Number = 0.0


class BudgetEdit(Body):
    """What is not sent stays as it is."""

    limits: Text | None = None
    thresholds: tuple[Number, ...] | None = None


class NewWebhook(Body):
    """Told of crossings at `account` and below."""

    account: Text
    url: Text


class Login(Body):
    """A key, once."""

    key: Text


B = TypeVar("B", bound=BaseModel)


def read(kind: type[B], content: bytes) -> B:
    """The body of a request. Raises `BadInput`, which never repeats a value."""
    try:
        return kind.model_validate_json(content or b"{}")
    except ValidationError as invalid:
        found = [
            f"{'.'.join(str(part) for part in error['loc']) or 'the body'}: {error['msg']}"
            for error in invalid.errors(include_url=False, include_input=False)[:5]
        ]
        fields = ", ".join(kind.model_fields)
        raise BadInput(f"{'; '.join(found)}. Send a JSON object with {fields}") from None


def shown_place(place: Organisation | Team) -> dict[str, Any]:
    """An organisation or a team."""
    kind = "team" if isinstance(place, Team) else "organisation"
    return {"object": kind, "account": place.account, **asdict(place)}


def shown_key(key: Key, now: float, secret: str | None = None) -> dict[str, Any]:
    """A key; with its text, `secret`, only when it was just made."""
    document = {"object": "key", "account": key.account, "state": key.state(now), **asdict(key)}
    document |= document.pop("rights")
    return document if secret is None else {**document, "secret": secret}


def shown_budget(budget: AccountBudget) -> dict[str, Any]:
    """A budget with every limit as it stands."""
    standings = [{**asdict(s), "left": s.left} for s in budget.standings]
    return {"object": "budget", **asdict(budget), "standings": standings}


def shown_usage(totals: Totals) -> dict[str, Any]:
    """What an account has spent and holds, of the resources of which that is known."""
    return {
        "object": "usage",
        "account": totals.path,
        "spent": totals.spent.known(),
        "held": totals.held.known(),
    }


def shown_change(change: Change) -> dict[str, Any]:
    """An entry of the audit log."""
    return {"object": "change", **asdict(change)}


def shown_webhook(webhook: Webhook, secret: str | None = None) -> dict[str, Any]:
    """A webhook; with its secret only when it was just made."""
    document = {"object": "webhook", **asdict(webhook)}
    return document if secret is None else {**document, "secret": secret}
