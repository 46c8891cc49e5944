"""Devices under a power cap: less power for less arithmetic, at the memory's full rate.

A cap lowers the clock. Above idle, power is taken to go with the clock's cube (voltage falls with
frequency), so that a cap of P watts leaves f = ((P - idle) / (TDP - idle))^(1/3) of it. Arithmetic
goes with f; memory and links keep their clocks. That is an assumption: no recording of power by
clock was at hand to fit it on.

A step's power is on the same line as without a cap, from idle to the limit by how near the step is
to the datasheet's bound. One that only reads memory is thereby taken to draw less at the same
speed, while memory's own power really stays: savings are an upper bound there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bursar.catalog import Device
from bursar.errors import BadInput

LEAST = 0.3
"""The lowest cap, as a share of the TDP; about what drivers accept."""


def capped(device: Device, share: float) -> Device:
    """The device with a cap of `share` of its TDP, which it is named by; itself where that is 1.

    Its name is another, so that what was measured without a cap is not used for it. Raises
    `BadInput` for a share that is not from `LEAST` to 1, or a device whose power is not known.
    """
    if not LEAST <= share <= 1:
        raise BadInput(f"a power cap of {share:g} of the TDP; give shares from {LEAST:g} to 1")
    if share == 1:
        return device
    idle, tdp = device.idle_watts, device.tdp_watts
    if idle is None or tdp is None:
        raise BadInput(
            f"{device.name} can't be capped: its power is not in the catalogue; leave it out"
        )
    watts = round(share * tdp)
    clock = (max(watts - idle, 0.0) / (tdp - idle)) ** (1 / 3)
    if not clock > 0:
        raise BadInput(f"{device.name} draws {idle:g} W idle: a cap of {watts} W leaves nothing")
    rates = {dtype: clock * rate for dtype, rate in device.peak_flops.items()}
    return device.model_copy(
        update={"name": f"{device.name}@{watts}W", "tdp_watts": watts, "peak_flops": rates}
    )


def capped_devices(devices: Iterable[Device], shares: Sequence[float]) -> tuple[Device, ...]:
    """Every device with every cap. Those whose power is not known only run without one."""
    found = []
    for device in devices:
        known = device.idle_watts is not None and device.tdp_watts is not None
        found += [capped(device, share) for share in (shares if known else (1.0,))]
    return tuple(found)


def cap_watts(device: Device) -> int | None:
    """The cap that a device of `capped` is named by; None without one."""
    found = re.search(r"@(\d+)W$", device.name)
    return int(found[1]) if found else None
