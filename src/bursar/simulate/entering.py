"""The requests of a trace as jobs that enter a fleet."""

from collections.abc import Iterator

from bursar.policies.batching import Job
from bursar.simulate.outcomes import Outcomes
from bursar.simulate.prefixes import prefixes
from bursar.simulate.server import Server
from bursar.workload.traces import Trace


def jobs(trace: Trace, server: Server, outcomes: Outcomes) -> Iterator[Job]:
    """Each when it can be scheduled first, with its place among the outcomes; in order."""
    count = len(trace)
    for now, prompt, output, priority, prefix in zip(
        (trace.arrival_s + server.times.seconds_per_request).tolist(),
        trace.input_tokens.tolist(),
        trace.output_tokens.tolist(),
        [0] * count if trace.priority is None else trace.priority.tolist(),
        prefixes(trace, server.block_tokens) if server.prefix_cache else [()] * count,
        strict=True,
    ):
        yield Job(outcomes.add(output), prompt, now, priority, prefix=prefix)
