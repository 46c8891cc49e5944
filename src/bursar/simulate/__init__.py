"""Policies on virtual time: `simulate(trace, server, policy)` serves a trace in milliseconds.

serve           `simulate` for a trace, `simulate_users` for users who wait for answers
disaggregated   `simulate_split`: prompts on some instances, answers on others
partitioned     `simulate_partitioned`: prompts on a part of a device, decodes on the rest
diffusion       `simulate_diffusion`: a server of diffusion language models
entering        the requests of a trace as jobs
prefixes        what their prompts share
replicas        several engines: routing, whose turn it is
replica         one engine: plans of many steps at once (replica_state: who is in it, and where)
fleet_replica   ... interrupted from outside: what routers and controls do to it
ranked_queue    who waits
swapping        caches that go to the host's memory and come back (host_memory: what that is;
                host_copies: whose are there; host_link: on their way; block_groups: their places)
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
tabulated_times any step cost model in that form, from tables (attention_overlap: its attention,
                where decodes and prompts share a step)
simulation      the result
series, gaps    timelines and times between tokens, collected on the way
outcomes        what happens to each request, collected on the way
agent_graph     `simulate_graph`: operators of agents on tiers of devices
workflows       `simulate_workflows`: queries of several stages on unlike instances
block_chains    `simulate_chains`: fine-tuned models that share blocks
lanes           `run_lanes`: tasks that wait for one another, each lane one at a time
offload         models that don't fit: experts on CPU and GPU, weights that stream in
expert_cache    `serve_experts`: experts that come and go while a model decodes
expert_pipeline `ExpertPipeline`: experts that are loaded while others compute
"""

from bursar.simulate.agent_graph import simulate_graph
from bursar.simulate.block_chains import ChainDevice, ChainRequest, place_chains, simulate_chains
from bursar.simulate.disaggregated import Link, Pool, link_of, simulate_split
from bursar.simulate.dist_attention import attend, merge
from bursar.simulate.host_link import Transfers
from bursar.simulate.host_memory import HostMemory, host_memory_of
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
from bursar.simulate.workflows import Query, Stage, simulate_workflows, tuned_load_weight

__all__ = [
    "ChainDevice",
    "ChainRequest",
    "HostMemory",
    "Lending",
    "Line",
    "LinearTimes",
    "Link",
    "Migration",
    "PhasePower",
    "PhasedTimes",
    "Pool",
    "PowerCap",
    "Query",
    "RooflineTimes",
    "Scaling",
    "Server",
    "Simulation",
    "Stage",
    "StepTimes",
    "TabulatedTimes",
    "Timeline",
    "Transfers",
    "attend",
    "host_memory_of",
    "link_of",
    "merge",
    "place_chains",
    "remote_attention",
    "server_of",
    "simulate",
    "simulate_chains",
    "simulate_graph",
    "simulate_split",
    "simulate_users",
    "simulate_workflows",
    "tuned_load_weight",
]
