"""The run record: what a command leaves in ``run.json``, and all that a report reads.

`solve` and `compare` are here, `simulate` and `plan` in `serving_record`.

Amounts are in the unit of their resource (`bursar.units`); unknown is null, never 0. Keys that a
newer version adds are ignored.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from bursar.budget import Line
from bursar.errors import BadInput
from bursar.receipt import Receipt
from bursar.report.parts import Amount, Amounts, Part, Run, Share
from bursar.report.serving_record import PlanRecord, SimulateRecord


class NextLine(Part):
    """What would have come next: `attempts` by `arm`, believed to raise P(right) by `gain` for
    `cost`, where the price asked `asked` per unit of the record's `resource`."""

    arm: str
    attempts: int
    gain: Share
    cost: Amount
    asked: Amount


class QuestionLine(Part):
    """One question: what was answered, whether it is right, and what it took."""

    id: str
    task: str
    level: str = ""
    answer: str | None = None
    correct: bool | None = None
    """None when nobody knows."""
    p_right: Share | None = None
    """The strategy's own belief when it stopped."""
    tokens: Amount | None = None
    usd: Amount | None = None
    samples: int | None = None
    stopped: str = ""
    """Why no more was spent on it, in a few words."""
    next: NextLine | None = None
    """Where the price decided: the best that was not bought."""

    def spent(self, resource: Literal["tokens", "usd"]) -> float | None:
        """What the question took of one of the two resources that are known by question."""
        return self.usd if resource == "usd" else self.tokens


class Round(Part):
    """The state after one round of spending."""

    round: int
    spent: Amount
    """Cumulative, in the record's `resource`."""
    price: Amount | None = None
    """Right answers per unit of `resource` that the next unit had to buy."""
    expected_right: Amount | None = None
    """Answers believed right so far: the sum of `p_right`."""
    correct: int | None = None
    """Answers right so far; None when nobody knows."""
    answered: int | None = None


class ArmLine(Part):
    """What was bought of one arm for one kind of question, and what it was believed to be worth."""

    kind: str
    arm: str
    attempts: int
    cost: Amount
    """What the attempts were to cost in all, in the record's `resource`."""
    gain: Amount
    """How many more answers they were to make right."""
    asked: Amount | None = None
    """The price at which they were bought: right answers per unit, mean over the cost."""
    chance: Share
    """How often one attempt is right, as was believed in the end."""


class Baseline(Part):
    """What another strategy got out of `spent` units of `resource` on the same questions."""

    strategy: str
    spent: Amount
    accuracy: Share
    low: Share | None = None
    high: Share | None = None


class ReceiptLine(Part):
    """One account of the receipt."""

    account: str
    what: str = ""
    calls: int | None = None
    tokens_in: Amount | None = None
    tokens_out: Amount | None = None
    usd: Amount | None = None
    predicted: Amount | None = None
    """In the record's `resource`, before the spend."""
    measured: Amount | None = None
    """In the record's `resource`, after it."""


class ReceiptRecord(Part):
    """The receipt: the lines add up to `spent`, and `spent` is within `limit`."""

    limit: Amounts = Field(default_factory=dict)
    spent: Amounts = Field(default_factory=dict)
    lines: tuple[ReceiptLine, ...] = ()


class SolveRecord(Run):
    """One run of `bursar solve`."""

    kind: Literal["solve"]
    seed: int
    strategy: str
    model: str
    task: str
    resource: str
    """The limited resource that the charts are drawn over."""
    limit: Amounts
    spent: Amounts
    predicted: Amounts = Field(default_factory=dict)
    price: Amounts = Field(default_factory=dict)
    """Right answers per unit of each limited resource, at the end."""
    answered: int
    correct: int | None = None
    accuracy: Share | None = None
    low: Share | None = None
    """`low` and `high` bound `accuracy`, as they do for a baseline."""
    high: Share | None = None
    questions: tuple[QuestionLine, ...]
    rounds: tuple[Round, ...] = ()
    arms: tuple[ArmLine, ...] = ()
    """For a strategy that chooses between arms."""
    baselines: tuple[Baseline, ...] = ()
    receipt: ReceiptRecord = ReceiptRecord()


class CompareRow(Part):
    """One strategy at one budget: mean accuracy over `seeds`, with its confidence interval.

    `ahead` is by how much it is more accurate than the reference on the same questions, with its
    paired interval; `front` is how likely it is on the frontier.
    """

    task: str
    model: str
    strategy: str
    budget: Amount
    spent: Amount | None
    accuracy: Share | None
    low: Share | None = None
    high: Share | None = None
    seeds: int
    ahead: float | None = None
    ahead_low: float | None = None
    ahead_high: float | None = None
    front: Share | None = None


class Place(Part):
    """A place on the leaderboard: mean accuracy over the logarithm of the budget, with its
    interval, and in which share of the resamples it was first."""

    task: str
    model: str
    strategy: str
    area: Share
    low: Share
    high: Share
    first: Share


class CompareRecord(Run):
    """One run of `bursar compare`: strategies at equal budgets, on the same questions."""

    kind: Literal["compare"]
    resource: str
    """What `budget` and `spent` are amounts of."""
    interval: str = "95 % confidence interval"
    """What `low` and `high` bound."""
    rows: tuple[CompareRow, ...]
    reference: str = ""
    """The strategy that `ahead` is measured from."""
    places: tuple[Place, ...] = ()

    def panels(self) -> dict[tuple[str, str], list[CompareRow]]:
        """The rows of each (task, model), in order: what is drawn and tabled together."""
        panels: dict[tuple[str, str], list[CompareRow]] = {}
        for row in self.rows:
            panels.setdefault((row.task, row.model), []).append(row)
        return panels


Record = SolveRecord | CompareRecord | SimulateRecord | PlanRecord
_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def receipt_record(receipt: Receipt, resource: str, depth: int = 1) -> ReceiptRecord:
    """`receipt` with its lines added up by the first `depth` parts of their path and by `what`."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in receipt.lines:
        account = "/".join(line.path.split("/")[:depth])
        groups.setdefault((account, line.what), []).append(line)
    lines = []
    for (account, what), group in groups.items():
        part = Receipt.from_lines(group)
        lines.append(
            ReceiptLine(
                account=account,
                what=what,
                calls=len(group),
                tokens_in=part.spent.tokens_in,
                tokens_out=part.spent.tokens_out,
                usd=part.spent.usd,
                predicted=None if part.predicted is None else part.predicted.get(resource),
                measured=part.spent.get(resource),
            )
        )
    spent = {name: receipt.spent.get(name) for name in receipt.limit}
    return ReceiptRecord(limit=dict(receipt.limit), spent=spent, lines=tuple(lines))


def parse_record(data: Mapping[str, Any]) -> Record:
    """A record from plain data. Raises `BadInput` naming each wrong key."""
    try:
        return _RECORD.validate_python(dict(data))
    except ValidationError as error:
        raise BadInput(f"the run record: {_said(error)}") from None


def load_record(path: Path) -> Record:
    """A record from a ``run.json``, or from the run folder that holds it. Raises `BadInput`."""
    file = path / "run.json" if path.is_dir() else path
    try:
        return _RECORD.validate_json(file.read_bytes())
    except OSError as error:
        said = f"can't read {file}: {error.strerror}"
        raise BadInput(f"{said}; give a run folder or its run.json") from None
    except ValidationError as error:
        raise BadInput(
            f"{file}: {_said(error)}; write it again with the command that made it"
        ) from None


def _said(error: ValidationError) -> str:
    """The first three faults, each with the place it is at."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'the document'}: {fault['msg']}"
        for fault in error.errors()[:3]
    ]
    return "; ".join(faults)
