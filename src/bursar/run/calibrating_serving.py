"""`bursar calibrate --serving`: fit the step cost to measured servers; leaves coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bursar.cost.deployment import Deployment
from bursar.cost.endtoend import Pool, Served, read_measured
from bursar.cost.endtoend.own import Errors, Own, calibrate
from bursar.errors import BadInput
from bursar.run.serving import Serving
from bursar.workload.traces.formats import read_recording

HEAD = "# Fitted to measured servers by `bursar calibrate --serving`, for --calibration.\n"


def run_calibrate_serving(results: Sequence[Path], serving: Serving, out: Path) -> Errors:
    """Fit to all results; writes `out`.

    A result is a CSV with a server a row (as `read_measured` takes it), or a benchmark's result or
    a recording with latencies, of the server that `serving` states. Raises `BadInput` for what
    can't be read or states no latencies, and when `out` can't be written; then nothing is left.
    """
    if out.is_dir() or not out.parent.is_dir():
        why = "is a folder" if out.is_dir() else "is in no folder that there is"
        raise BadInput(f"--out {out} {why}; name a file to write, such as calibration.toml")
    known = serving.known()
    rows = [row for path in results for row in _rows(path, serving)]
    made, errors = calibrate(rows, known)
    try:
        out.write_text(HEAD + made.written(), encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"--out {out} can't be written ({error.strerror}); choose another place"
        ) from None
    return errors


def _rows(path: Path, serving: Serving) -> Iterator[Own]:
    if _states_servers(path):
        for row in read_measured(path):
            yield Own(row.served, row.ttft_seconds, row.tpot_seconds)
    else:
        if not serving.device:
            raise BadInput(
                f"{path} does not say what was measured; give --model and --device (and --tp, "
                "--dtype, --engine), or a CSV that states them"
            )
        yield measured(path, serving.deployment())


def _states_servers(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return "silicon_tpot_ms" in file.readline(10_000)
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror})") from None


def measured(path: Path, place: Deployment) -> Own:
    """One benchmark as a load: mean lengths, and by Little's law the mean number in flight.

    Raises `BadInput` for a file without latencies of each request.
    """
    found = read_recording(path)
    if found.ttft_s is None or found.e2e_s is None:
        raise BadInput(f"{path} has no latencies of its requests; give a benchmark's result")
    trace, later = found.trace, found.trace.output_tokens - 1
    whole = np.isfinite(found.ttft_s) & np.isfinite(found.e2e_s) & (later > 0)
    if not whole.any():
        raise BadInput(f"{path}: no request has both a first and a last token; check the file")
    spent = found.e2e_s[whole]
    until = float(np.max(trace.arrival_s[whole] + spent))
    served = Served(
        Pool(place),
        in_flight=max(1.0, float(np.sum(spent)) / until),
        tokens_in=float(np.mean(trace.input_tokens[whole])),
        tokens_out=max(2.0, float(np.mean(trace.output_tokens[whole]))),
    )
    between = (spent - found.ttft_s[whole]) / later[whole]
    return Own(served, float(np.mean(found.ttft_s[whole])), float(np.mean(between)))
