"""The operators of a layer add up to the step that they are taken from."""

import pytest

from bursar import catalog
from bursar.cost import DATASHEET, Deployment, step_arrays
from bursar.cost.layer_work import Batch, layer_of
from bursar.cost.work import step_work
from bursar.errors import BadInput


@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b"])
@pytest.mark.parametrize(
    "batch", [Batch(64, 900.0), Batch(0, 0.0, 512.0, 100.0), Batch(8, 9.0, 7.0)]
)
def test_layers_have_the_work_of_the_step_but_for_the_head(model: str, batch: Batch) -> None:
    place = Deployment(catalog.model(model), catalog.device("h100-sxm"), tp=4)
    layer = layer_of(place, batch.rows())
    parts = (layer.into, layer.attention, layer.out, layer.feed_forward)
    groups = step_work(place.model, batch.rows(), tp=4, dp=1, dtype="bf16", kv_dtype="bf16")
    for kind in ("flops", "bytes"):
        whole = sum(float(getattr(x, kind)) for name, x in groups.items() if name != "head")
        assert place.model.layers * sum(getattr(x, kind) for x in parts) == pytest.approx(whole)


def test_two_collectives_a_layer_are_those_of_the_step() -> None:
    place = Deployment(
        catalog.model("llama-3.1-8b"), catalog.device("h100-sxm"), tp=4, efficiency=DATASHEET
    )
    reduce = layer_of(place, Batch(64, 900.0).rows()).reduce
    assert reduce is not None
    one_way = (place.device.link_bytes_per_second or 0) / 2
    steps = step_arrays(place, 1.0, 900.0, 64)
    assert 64 * reduce.link_bytes / one_way == pytest.approx(float(steps.terms["communication"]))


def test_half_a_batch_reads_all_weights_and_half_the_cache() -> None:
    place = Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100-sxm"))
    batch = Batch(64, 2000.0)
    whole, half = (layer_of(place, batch.rows(share)) for share in (1.0, 0.5))
    assert half.attention.bytes == pytest.approx(whole.attention.bytes / 2)
    assert half.feed_forward.flops == pytest.approx(whole.feed_forward.flops / 2)
    assert half.feed_forward.bytes > 0.95 * whole.feed_forward.bytes
    assert whole.reduce is None


def test_what_has_no_such_layer_is_refused() -> None:
    place = Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100-sxm"), pp=2)
    with pytest.raises(BadInput, match="pp = 2"):
        layer_of(place, Batch(1, 1.0).rows())
    place = Deployment(catalog.model("deepseek-v3"), catalog.device("h100-sxm"), tp=8)
    with pytest.raises(BadInput, match="no softmax attention"):
        layer_of(place, Batch(1, 1.0).rows())
