"""Request traces for serving: who asks when, and for how much.

trace         the noun: requests by column
columns       names and hashed blocks, as columns
summary       a trace in a few numbers
mixing        several traces at once
formats/      reading files of all kinds, writing plain CSV
arrivals/     when requests come
lengths/      how long they are
generating    a trace from arrivals and lengths
closed_loop   users who wait for an answer before they ask again
rules         what the numbers must be
"""

from bursar.workload.traces.arrivals import (
    ARRIVALS,
    Arrivals,
    Gamma,
    Hourly,
    OnOff,
    Poisson,
    Sinusoidal,
)
from bursar.workload.traces.closed_loop import ClosedLoop, Turn
from bursar.workload.traces.columns import Blocks, Labels
from bursar.workload.traces.formats import (
    FORMATS,
    Recording,
    read_recording,
    read_trace,
    write_trace,
)
from bursar.workload.traces.generating import generated
from bursar.workload.traces.lengths import (
    LENGTHS,
    Capped,
    EmpiricalLengths,
    Lengths,
    LognormalLengths,
)
from bursar.workload.traces.mixing import mixed
from bursar.workload.traces.summary import Spread, Summary, summary
from bursar.workload.traces.trace import Trace

__all__ = [
    "ARRIVALS",
    "FORMATS",
    "LENGTHS",
    "Arrivals",
    "Blocks",
    "Capped",
    "ClosedLoop",
    "EmpiricalLengths",
    "Gamma",
    "Hourly",
    "Labels",
    "Lengths",
    "LognormalLengths",
    "OnOff",
    "Poisson",
    "Recording",
    "Sinusoidal",
    "Spread",
    "Summary",
    "Trace",
    "Turn",
    "generated",
    "mixed",
    "read_recording",
    "read_trace",
    "summary",
    "write_trace",
]
