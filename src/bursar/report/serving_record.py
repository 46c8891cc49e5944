"""The records of `bursar simulate` and `bursar plan`. Times in seconds; unknown is null, never 0.

A "fleet" is a list of `Instances`: replicas of one deployment on one kind of device.
"""

from collections.abc import Sized
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bursar.report.parts import Amount, Amounts, Part, Run, Share

Column = Annotated[tuple[Amount, ...], Field(min_length=1)]


class GoalRecord(Part):
    """Most seconds to the first token, and between tokens; None: no goal."""

    ttft_s: Amount | None = None
    tpot_s: Amount | None = None


class Latency(Part):
    """A latency over all requests served, in seconds; None without any."""

    mean: Amount | None
    p50: Amount | None
    p90: Amount | None
    p99: Amount | None


class Distribution(Part):
    """An empirical distribution: `shares[i]` of the values are at most `seconds[i]`."""

    seconds: Column
    shares: Annotated[tuple[Share, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_equal(seconds=self.seconds, shares=self.shares)
        return self


class TimelineRecord(Part):
    """Means over bins of time, over all replicas together; bin i starts at i * `width_seconds`."""

    width_seconds: Amount
    until_seconds: Amount
    """When the last answer ended, and with it the last bin."""
    waiting: Column
    """Requests in a queue."""
    running: Column
    """Requests that are being served."""
    blocks: Column
    """Held blocks of KV cache."""
    watts: Column | None
    """None when no energy is known."""
    replicas: Column | None = None
    """Replicas that were rented; None in records from before they could come and go."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        columns = {"waiting": self.waiting, "running": self.running, "blocks": self.blocks}
        optional = {"watts": self.watts, "replicas": self.replicas}
        _require_equal(**columns, **{n: x for n, x in optional.items() if x is not None})
        return self


class ClassRecord(Part):
    """The requests of one priority or tenant."""

    requests: int
    completed: int
    slo_attainment: Share | None
    """None without a goal."""
    ttft_s: Latency
    tpot_s: Latency
    e2e_s: Latency


Classes = dict[str, ClassRecord]


class SwapsRecord(Part):
    """What preempted requests sent to the hosts' memory and back, of all replicas together."""

    blocks_out: int
    """Blocks of KV cache to the host."""
    blocks_in: int
    """Back to the device."""
    stalled_seconds: Amount
    """How long steps waited for it."""


class UsersRecord(Part):
    """Users who asked in turn: each waited for the answer, and thought."""

    users: int
    turns: int
    """Of each."""
    think_seconds: Amount
    """Mean time before a question."""


class SimulateRecord(Run):
    """One run of `bursar simulate`."""

    kind: Literal["simulate"]
    model: str
    device: str
    replicas: int
    """The most there were at once, those for prompts among them."""
    prefill_replicas: int = 0
    """For prompts only; all others are then for answers only."""
    prefill_device: str | None = None
    """Of these; None: there are none."""
    devices: int
    """In all these replicas."""
    policy: str
    router: str
    scale: str = "fixed"
    """What decided how many replicas there were."""
    trace: str
    goal: GoalRecord
    requests: int
    completed: int
    requests_per_second: Amount | None = None
    """Completed, by the time until the last answer; None in records before this was kept."""
    users: UsersRecord | None = None
    """Who asked, where that was not the trace."""
    left_out: int
    """Requests of the file that were not served when it was recorded, and so not simulated."""
    preemptions: int
    moves: int = 0
    """Of running requests, from one replica to another."""
    swaps: SwapsRecord | None = None
    """None without memory on the hosts."""
    prefix_hit_rate: Share = 0.0
    """Share of the prompts' tokens that were in the cache already."""
    slo_attainment: Share | None
    """Share of requests within the goal; None without a goal."""
    ttft_s: Latency
    tpot_s: Latency
    e2e_s: Latency
    by_priority: Classes = Field(default_factory=dict)
    """The most urgent first, at most 100; empty where the trace has no priorities."""
    by_tenant: Classes = Field(default_factory=dict)
    """Who asked most first, at most 100; "" is nobody in particular, empty without tenants."""
    usage: Amounts
    joules_per_request: Amount | None
    usd_per_1k_requests: Amount | None
    breaker_watts: Amount | None = None
    """What all devices together may draw; None: there is no limit."""
    peak_watts: Amount | None = None
    """The highest mean over two seconds or a longer bin; None when no energy is known."""
    wall_seconds: Amount
    """What simulating took."""
    block_tokens: int
    capacity_blocks: Annotated[float, Field(gt=0)]
    """Blocks of KV cache of all replicas."""
    distributions: dict[Literal["ttft_s", "tpot_s", "e2e_s"], Distribution]
    timeline: TimelineRecord


class Instances(Part):
    """Replicas of one deployment; `count` devices in all."""

    device: str
    count: int
    replicas: int
    tp: int
    pp: int
    ep: int
    dp: int
    dtype: str
    policy: str
    max_tokens: int | None = None
    """In a step; None where the policy has no such limit, or in records before this was kept."""
    max_jobs: int | None = None
    """At once, of a replica; None as above."""
    market: str = "on-demand"


class HostedRecord(Part):
    """A hosted API of the model that carries a share of the requests, in a time not known."""

    name: str
    share: Share
    usd_per_hour: Amount


class FleetRow(Part):
    """A fleet in one line: what it costs, carries and takes, as simulated on the trace."""

    usd_per_hour: Amount
    gpus: int | None = None
    """Devices in all instances; None in records before this was kept, as the next."""
    watts: Amount | None = None
    """What the devices draw on average."""
    requests_per_second: Amount
    usd_per_1k_requests: Amount
    slo_attainment: Share
    ttft_p99_s: Amount | None
    tpot_p99_s: Amount | None
    e2e_mean_s: Amount | None = None
    """Mean time to the last token; None in records before this was kept."""
    joules_per_request: Amount | None
    ttft_mean_s: Amount | None = None
    tpot_mean_s: Amount | None = None
    predicted_ttft_s: Amount | None = None
    """The mean by the steady state, without queues and settings; None where it is not known."""
    predicted_tpot_s: Amount | None = None
    fleet: tuple[Instances, ...]
    hosted: HostedRecord | None = None


class AloneRow(FleetRow):
    """A fleet of some devices alone: the best, or on the front of cost, latency and energy."""

    devices: tuple[str, ...]
    alone: bool = True
    """Whether it is the best of these devices."""
    on_front: bool | None = None
    """Whether no other row is as good in cost per request, mean latency and energy, and better in
    one; None in records before this was kept."""


class Predicted(Part):
    """What the allocator planned with."""

    fill: tuple[Amount, ...]
    """Per entry of the fleet, the share of its predicted capacity that is used."""


class Simulated(Part):
    """What the simulator found of the plan."""

    requests: int
    slo_attainment: Share


class SettingRow(Part):
    """How the fleet might batch, and what a stretch of the traffic met so."""

    policy: str
    max_tokens: int | None
    max_jobs: int | None
    slo_attainment: Share
    ttft_p99_s: Amount | None
    tpot_p99_s: Amount | None
    e2e_mean_s: Amount | None
    joules_per_request: Amount | None
    ttft_mean_s: Amount | None
    tpot_mean_s: Amount | None


class Commands(Part):
    """Command lines, one per entry of the fleet."""

    vllm: tuple[str, ...]
    sglang: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What some of them need around them."""


class PlanRecord(Run, FleetRow):
    """One run of `bursar plan`: the plan, its certificate, and what it was preferred to."""

    kind: Literal["plan"]
    model: str
    trace: str
    goal: GoalRecord
    attainment: Share
    """The share of requests that had to be within the goal."""
    budget_usd_per_hour: Amount | None
    """The most rent, where that is limited."""
    budget: dict[str, float] | None = None
    """Limits on "usd_per_hour", "watts" and "gpus"; None: the cheapest fleet was asked."""
    feasible: bool
    gap: Amount
    """The rent, or for a budget the traffic, is within this share of the model's best."""
    price: Amount | None
    """Requests a second that one more dollar an hour would carry; None where that is no limit."""
    prices: dict[str, float] | None = None
    """The same for one more unit of each resource that is paid or limited; 0 where it is ample."""
    probability: Share | None
    """That the goal is met, given how far predictions err; None without own instances."""
    predicted: Predicted
    simulated: Simulated
    frontier: tuple[AloneRow, ...]
    """The best fleet of each device alone, and the others that are best in cost, latency and energy
    together."""
    objective: str = "cost"
    """What was to be small; "latency" and "energy" are searched among fleets of one kind."""
    crossover_requests_per_second: Amount | None = None
    """From which rate on instances are cheaper than the hosted API; None without one, or where
    they never are."""
    worth_measuring: dict[str, float]
    """Device -> dollars an hour that knowing its true speed would save, on average."""
    binding: tuple[str, ...]
    """Why a device alone can't serve the trace, "DEVICE: REASON" for each that can't."""
    tried: tuple[SettingRow, ...] = ()
    """How the fleet might batch, the best first; it is then chosen anew with the best that holds on
    the whole trace."""
    excluded_settings: int = 0
    """Others that can't carry the traffic by a bound, or do the same as one of these."""
    commands: Commands
    kubernetes: dict[str, Any]

    @property
    def limits(self) -> dict[str, float] | None:
        """`budget`, also of records that only have one in dollars."""
        rent = self.budget_usd_per_hour
        return {"usd_per_hour": rent} if self.budget is None and rent is not None else self.budget

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_equal(fleet=self.fleet, fill=self.predicted.fill)
        return self


def _require_equal(**columns: Sized) -> None:
    """Raises `ValueError`, which pydantic reports, for columns that don't belong together."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"not equally long: {lengths}")
