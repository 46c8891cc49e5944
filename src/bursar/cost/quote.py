"""A request's cost as plain data: what `bursar cost` prints."""

from typing import Any

from bursar.catalog import api_price, device, grid, model
from bursar.cost.calibration import Calibration, shipped
from bursar.cost.deployment import Deployment
from bursar.cost.hosted import hosted_cost
from bursar.cost.memory import memory_bytes
from bursar.cost.request import request_cost
from bursar.cost.tables import Engine


def quote_device(
    model_name: str,
    device_name: str,
    *,
    tokens_in: int,
    tokens_out: int,
    batch: int = 1,
    cached_in: int = 0,
    tp: int = 1,
    pp: int = 1,
    dp: int = 1,
    dtype: str = "bf16",
    kv_dtype: str = "bf16",
    country: str | None = None,
    pue: float = 1.56,
    engine: str = "",
    known: Calibration | None = None,
) -> dict[str, Any]:
    """One request among `batch` on a device of the catalogue (fields: see `Deployment`).

    `engine`: as in `Engine.parse`. `known`: somebody's own measurements.

    Raises `BadInput` for names and lengths, `Infeasible` when it does not fit.
    """
    deployment = Deployment(
        model(model_name),
        device(device_name),
        tp=tp,
        pp=pp,
        dp=dp,
        dtype=dtype,
        kv_dtype=kv_dtype,
        grid=None if country is None else grid(country),
        pue=pue,
        engine=Engine.parse(engine),
        calibration=known or shipped(),
    )
    cost = request_cost(deployment, tokens_in, tokens_out, batch=batch, cached_in=cached_in)
    need = memory_bytes(deployment, batch, tokens_in + tokens_out)
    return {
        "usage": cost.usage.to_dict(),
        "low": cost.low.to_dict(),
        "high": cost.high.to_dict(),
        "tier": cost.tier,
        "ttft_s": cost.ttft.middle,
        "tpot_s": None if cost.tpot is None else cost.tpot.middle,
        "intervals": {
            "ttft_s": [cost.ttft.low, cost.ttft.high],
            "tpot_s": None if cost.tpot is None else [cost.tpot.low, cost.tpot.high],
        },
        "model": deployment.model.name,
        "device": deployment.device.name,
        "devices": deployment.devices,
        "batch": batch,
        "memory_bytes": {
            "weights": need.weights,
            "kv_cache": need.kv_cache,
            "activations": need.activations,
            "capacity": need.capacity,
        },
    }


def quote_api(
    model_name: str, *, tokens_in: int, tokens_out: int, cached_in: int = 0
) -> dict[str, Any]:
    """One request to a hosted model at its list price. Raises `BadInput`."""
    price = api_price(model_name)
    usage = hosted_cost(price, tokens_in, tokens_out, cached_in=cached_in).to_dict()
    return {
        "usage": usage,
        "low": usage,
        "high": usage,
        "tier": "price list",
        "model": price.name,
        "provider": price.provider,
        "price_date": price.date,
    }
