"""Policies on virtual time: `simulate(trace, server, policy)` serves a trace in milliseconds.

serve           `simulate` for a trace, `simulate_users` for users who wait for answers
disaggregated   `simulate_split`: prompts on some instances, answers on others
entering        the requests of a trace as jobs
prefixes        what their prompts share
replicas        several engines: routing, whose turn it is
replica         one engine: queue, KV cache, plans of many steps at once
ranked_queue    who waits
kv_cache        blocks held and free (prefix_cache: those of prompts that begin alike)
history         how long the last answers were
decode_batch    decoding jobs in closed form
controls        what acts on replicas at times of its own
migration       running jobs that move to another replica
scaling         replicas that come and go
power           clocks of a row of servers under a power limit
phase_power     step times with the power of prompts and decodes, at any clock
lending         replicas that lend each other memory
dist_attention  attention in parts, merged exactly
server          what a replica is made of
step_times      the protocol for how long steps take; the simplest one
roofline_times  the step cost model in that form (attention_rows: its attention)
tabulated_times any step cost model in that form, from tables
overlap         (its attention, where decodes and prompts share a step)
simulation      the result
series, gaps    timelines and times between tokens, collected on the way
outcomes        what happens to each request, collected on the way
"""

from bursar.simulate.disaggregated import Link, Pool, link_of, simulate_split
from bursar.simulate.dist_attention import attend, merge
from bursar.simulate.lending import Lending, remote_attention
from bursar.simulate.migration import Migration
from bursar.simulate.phase_power import PhasedTimes, PhasePower
from bursar.simulate.power import PowerCap
from bursar.simulate.roofline_times import RooflineTimes
from bursar.simulate.scaling import Scaling
from bursar.simulate.series import Timeline
from bursar.simulate.serve import simulate, simulate_users
from bursar.simulate.server import Server, server_of
from bursar.simulate.simulation import Simulation
from bursar.simulate.step_times import Line, LinearTimes, StepTimes
from bursar.simulate.tabulated_times import TabulatedTimes

__all__ = [
    "Lending",
    "Line",
    "LinearTimes",
    "Link",
    "Migration",
    "PhasePower",
    "PhasedTimes",
    "Pool",
    "PowerCap",
    "RooflineTimes",
    "Scaling",
    "Server",
    "Simulation",
    "StepTimes",
    "TabulatedTimes",
    "Timeline",
    "attend",
    "link_of",
    "merge",
    "remote_attention",
    "server_of",
    "simulate",
    "simulate_split",
    "simulate_users",
]
