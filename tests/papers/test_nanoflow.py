"""NanoFlow (arXiv:2408.12757): operations with different bottlenecks run at once on one device."""

from dataclasses import replace

import pytest

from bursar import catalog
from bursar.allocate.overlap import (
    SEQUENTIAL,
    NanoFlow,
    Schedule,
    layers_of,
    operations_of,
    seconds_of,
)
from bursar.cost import DATASHEET, MEASURED, Deployment, Efficiency, max_sequences
from bursar.cost.layer_work import Batch
from bursar.cost.shared_device import shared_device

MIXES = [(512, 512), (1024, 512), (512, 1024), (2048, 256)]
"""Tokens of prompt and answer."""


def deployment(device: str, efficiency: Efficiency = MEASURED) -> Deployment:
    model = catalog.model("llama-2-70b")
    return Deployment(model, catalog.device(device), tp=8, efficiency=efficiency)


def steady(place: Deployment, prompt: int, answer: int) -> Batch:
    """As many sequences as memory holds, and prompts as fast as answers are done."""
    sequences = max_sequences(place, prompt + answer)
    assert sequences
    return Batch(sequences, prompt + answer / 2, sequences * prompt / answer)


def gain(place: Deployment, batch: Batch) -> tuple[float, float, Schedule]:
    """Throughput over the sequential engine's, and over the bound; all layers of the model."""
    device, count = shared_device(place), place.model.layers
    schedule = NanoFlow().search(place, batch)
    found, apart = (seconds_of(device, place, batch, x, count) for x in (schedule, SEQUENTIAL))
    whole = operations_of(layers_of(place, batch, (1.0,)), SEQUENTIAL, count)
    return apart / found, device.bound_seconds(whole) / found, schedule


@pytest.mark.parametrize("efficiency", [DATASHEET, MEASURED], ids=["datasheet", "measured"])
@pytest.mark.parametrize("mix", MIXES)
def test_overlap_gains_where_three_resources_cost(
    mix: tuple[int, int], efficiency: Efficiency
) -> None:
    place = deployment("h100-sxm", efficiency)
    ratio, of_bound, schedule = gain(place, steady(place, *mix))
    assert ratio >= 1.3
    assert 0.5 < of_bound < 1.0
    assert len(schedule.shares) > 1


def test_where_matrices_take_nearly_all_there_is_less_to_hide() -> None:
    """8 A100: the bound itself is at 1.4 to 1.7 times the sequential engine."""
    for mix in MIXES[:2]:
        place = deployment("a100")
        ratio, of_bound, _ = gain(place, steady(place, *mix))
        assert 1.2 < ratio < 1.3
        assert of_bound < 1.0


def test_a_single_resource_leaves_nothing_to_overlap() -> None:
    """One device: a prompt is all arithmetic, a few short sequences are all weights."""
    place = replace(deployment("h100-sxm"), model=catalog.model("llama-3.1-8b"), tp=1)
    for batch in (Batch(0.0, 0.0, 8192.0), Batch(8.0, 256.0)):
        ratio, of_bound, _ = gain(place, batch)
        assert ratio == pytest.approx(1.0, abs=0.03)
        assert of_bound > 0.8  # the rest is launches


def test_units_given_without_looking_gain_less() -> None:
    """Control: as many nano-batches, but attention and collectives take what they can get."""
    place = deployment("h100-sxm")
    batch, device = steady(place, 512, 512), shared_device(place)
    searched, _, schedule = gain(place, batch)
    greedy = Schedule(schedule.shares)
    apart, found = (
        seconds_of(device, place, batch, x, place.model.layers) for x in (SEQUENTIAL, greedy)
    )
    assert apart / found < searched - 0.02


def test_the_gain_hangs_on_few_units_filling_the_bandwidth() -> None:
    """Control: where bandwidth is in proportion to units, what overlaps is slowed as much."""
    place = deployment("h100-sxm")
    batch = steady(place, 512, 512)
    gains = []
    for units in (0.4, 0.7, 1.0):
        device = replace(shared_device(place), memory_units=units, link_units=units)
        schedule = NanoFlow().search(place, batch, device)
        found, apart = (seconds_of(device, place, batch, x, 8) for x in (schedule, SEQUENTIAL))
        gains.append(apart / found)
    assert gains[0] > 1.3 > gains[1] > gains[2]
    assert gains[2] < 1.1
