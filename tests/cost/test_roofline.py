"""The roofline against numbers worked out by hand, and the laws that it must obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar import catalog
from bursar.cost import DATASHEET, Deployment, Step, kv_cache_bytes, step_arrays, step_cost
from bursar.cost.work import attended_pairs, cached_tokens, distinct_experts
from bursar.errors import BadInput

LLAMA = catalog.model("llama-3.1-8b")
H100 = catalog.device("h100-sxm")
BOUND = Deployment(LLAMA, H100, efficiency=DATASHEET)
MODELS = ["llama-3.1-8b", "gpt-oss-20b", "gemma-3-4b", "deepseek-v3", "glm-5", "qwen3.5-35b-a3b"]
models = st.sampled_from(MODELS).map(catalog.model)


def one_decode(batch: int, context: int, **options: object) -> float:
    place = Deployment(LLAMA, H100, efficiency=DATASHEET, **options)  # type: ignore[arg-type]
    return float(step_arrays(place, 1, context, batch).seconds)


def test_a_decode_step_by_hand() -> None:
    """Llama-3.1-8B, BF16, one H100 SXM, batch 16 at context 1,000: everything is memory-bound.

    Layers: 32 x (4096 x (4096 + 2 x 1024) + 4096 x 4096 + 3 x 4096 x 14336) = 6,979,321,856
    weights, 2 bytes each. Head: 128,256 x 4,096 weights, 2 bytes each. Cache: 128 KiB a token,
    1,001 read and 1 written for each of 16. At 3.35 TB/s.
    """
    cost = step_cost(BOUND, Step(new=1, context=1000, count=16))
    weights, head, cache = 6_979_321_856 * 2, 128_256 * 4096 * 2, 16 * 131_072 * (1001 + 1)
    assert cost.seconds["head"] == pytest.approx(head / 3.35e12)
    assert cost.seconds["attention"] == pytest.approx(cache / 3.35e12)
    # activations are the only part not in the sum above: below 1 % at 16 tokens
    assert cost.seconds["projections"] == pytest.approx(weights / 3.35e12, rel=0.01)
    assert cost.usage.seconds == pytest.approx((weights + head + cache) / 3.35e12, rel=0.01)
    attention = 4 * 32 * 4096 * 1001 * 16
    assert cost.usage.flops == pytest.approx(2 * 7_504_658_432 * 16 + attention)
    assert cost.usage.tokens_out == 16


def test_a_prefill_step_by_hand() -> None:
    """8,192 new tokens: the matrices are compute-bound at 989.4 TFLOP/s."""
    cost = step_cost(BOUND, Step(new=8192, context=0))
    assert cost.seconds["projections"] == pytest.approx(2 * 6_979_321_856 * 8192 / 989.4e12)
    pairs = 8192 * 8193 / 2
    assert cost.seconds["attention"] == pytest.approx(4 * 32 * 4096 * pairs / 989.4e12)
    assert cost.usage.tokens_in == 8192


def test_dollars_joules_and_carbon_by_hand() -> None:
    place = Deployment(LLAMA, H100, efficiency=DATASHEET, grid=catalog.grid("DE"), pue=1.2)
    usage = step_cost(place, Step(1, 1000, 16)).usage
    assert usage.seconds is not None
    assert usage.usd == pytest.approx(usage.seconds * 6.88 / 3600)
    assert usage.joules == pytest.approx(usage.seconds * 700)  # at the bound: all of the limit
    assert usage.joules is not None
    assert usage.grams_co2e == pytest.approx(usage.joules / 3.6e6 * 1.2 * 380.95)


def test_what_is_not_known_stays_unknown() -> None:
    phone = Deployment(catalog.model("llama-3.2-1b"), catalog.device("apple-a18-pro"))
    usage = step_cost(phone, Step(1, 100)).usage
    assert usage.usd is None  # nobody rents it by the hour
    assert usage.joules is None  # no idle power known
    assert usage.grams_co2e is None
    assert usage.seconds is not None


@given(st.integers(0, 300), st.integers(0, 300), st.one_of(st.none(), st.integers(1, 200)))
def test_closed_forms_count_what_a_loop_counts(new: int, context: int, window: int | None) -> None:
    limit = window or 10**9
    pairs = sum(min(context + j, limit) for j in range(1, new + 1))
    array = np.array(float(new)), np.array(float(context))
    assert attended_pairs(*array, window) == pairs
    seen = {t for j in range(1, new + 1) for t in range(max(0, context + j - limit), context + j)}
    if new:
        assert cached_tokens(*array, window) == len(seen)


def test_distinct_experts_by_simulation() -> None:
    rng = np.random.default_rng(0)
    for tokens in (1, 4, 32, 200):
        drawn = [
            len(np.unique([rng.choice(64, 6, replace=False) for _ in range(tokens)]))
            for _ in range(60)
        ]
        assert distinct_experts(64, 6, tokens) == pytest.approx(np.mean(drawn), rel=0.04)
    assert distinct_experts(64, 6, 1) == pytest.approx(6)


@given(models, st.integers(1, 256), st.integers(0, 20_000), st.integers(1, 2_000))
def test_more_work_never_takes_less(model: object, batch: int, context: int, new: int) -> None:
    place = Deployment(model, catalog.device("b200"))  # type: ignore[arg-type]
    base = step_arrays(place, new, context, batch)
    for more in ((new, context, batch + 1), (new, context + 500, batch), (new + 1, context, batch)):
        other = step_arrays(place, *more)
        assert other.seconds >= base.seconds
        assert other.flops >= base.flops
        assert other.bytes >= base.bytes


@given(models, st.sampled_from([1, 2, 4]), st.integers(1, 64), st.integers(1, 8_000))
def test_splitting_matrices_means_less_memory_traffic_on_each_device(
    model: object, tp: int, batch: int, context: int
) -> None:
    b200 = catalog.device("b200")
    wide, narrow = (
        step_arrays(Deployment(model, b200, tp=n, efficiency=DATASHEET), 1, context, batch)  # type: ignore[arg-type]
        for n in (tp, 2 * tp)
    )
    assert narrow.bytes / (2 * tp) <= wide.bytes / tp
    # together they do the same arithmetic, however it is split
    assert narrow.flops == pytest.approx(float(wide.flops))


@given(models, st.integers(1, 100), st.integers(0, 5_000))
def test_a_server_is_never_faster_than_its_datasheet(
    model: object, batch: int, context: int
) -> None:
    steps = step_arrays(Deployment(model, catalog.device("h200"), tp=8), 1, context, batch)  # type: ignore[arg-type]
    assert steps.bound_seconds <= steps.seconds


def test_rows_may_be_mixed_and_steps_stacked() -> None:
    """One call for many steps gives what many calls give, and a row of no tokens is no row."""
    new = np.array([[1, 1, 0], [1, 512, 1]])
    context = np.array([[10, 900, 0], [700, 0, 30]])
    together = step_arrays(BOUND, new, context)
    for i in range(2):
        alone = step_arrays(BOUND, new[i], context[i])
        assert together.seconds[i] == pytest.approx(float(alone.seconds))
    two = step_arrays(BOUND, [1, 1], [10, 900])
    assert together.seconds[0] == pytest.approx(float(two.seconds))
    assert float(step_arrays(BOUND, 0, 0).seconds) == 0


def test_doubling_the_batch_is_nearly_free_until_memory_or_compute_binds() -> None:
    assert one_decode(2, 100) < 1.01 * one_decode(1, 100)
    assert one_decode(2048, 100) > 1.8 * one_decode(1024, 100)


def test_quantised_weights_halve_the_traffic_and_double_the_rate_where_there_is_hardware() -> None:
    assert one_decode(1, 1) / one_decode(1, 1, dtype="fp8") == pytest.approx(1.87, abs=0.03)
    a100 = catalog.device("a100")
    prefill = [
        float(step_arrays(Deployment(LLAMA, a100, dtype=d, efficiency=DATASHEET), 8192, 0).seconds)
        for d in ("bf16", "fp8")
    ]
    assert prefill[0] == pytest.approx(prefill[1], rel=0.01)  # no FP8 units: only memory is saved


def test_windows_and_states_do_not_grow() -> None:
    gemma, llama = catalog.model("gemma-3-27b"), catalog.model("llama-3.1-70b")
    assert kv_cache_bytes(llama, 64_000) == 64 * kv_cache_bytes(llama, 1000)
    full = 10 * 16 * 256 * 2  # bytes a token in the ten global layers
    grown = kv_cache_bytes(gemma, 64_000) - kv_cache_bytes(gemma, 32_000)
    assert grown == pytest.approx(full * 32_000)
    nemotron = catalog.model("nemotron-h-56b")
    assert (
        kv_cache_bytes(nemotron, 2) - kv_cache_bytes(nemotron, 1) == nemotron.kv_bytes_per_token()
    )
    assert kv_cache_bytes(nemotron, 1) > 1000 * nemotron.kv_bytes_per_token()  # the states


def test_latent_attention_decodes_absorbed_and_prefills_expanded() -> None:
    """DeepSeek-V3: at decode 2 x 128 x (2 x 512 + 64) FLOPs a pair, at prefill 2 x 128 x 320."""
    v3 = catalog.model("deepseek-v3")
    place = Deployment(v3, catalog.device("b200"), tp=8, efficiency=DATASHEET)
    less, more = (float(step_arrays(place, 1, c, 1).flops) for c in (1000, 2000))
    assert more - less == pytest.approx(61 * 2 * 128 * (2 * 512 + 64) * 1000)
    prefill = [float(step_arrays(place, n, 0).flops) for n in (1, 4096)]
    pairs = 4096 * 4097 / 2
    head = 2 * v3.head_parameters
    linear = 4096 * (2 * v3.active_parameters - head) + head
    assert prefill[1] - linear == pytest.approx(61 * 2 * 128 * 320 * pairs)


def test_a_full_pipeline_charges_each_stage_its_share() -> None:
    one = Deployment(LLAMA, H100)
    two = Deployment(LLAMA, H100, pp=2)
    a, b = (step_cost(place, Step(1, 500, 8)).usage for place in (one, two))
    assert a.usd is not None
    assert b.usd == pytest.approx(a.usd, rel=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tp": 0}, "tp = 0"),
        ({"pp": 33}, "32 layers"),
        ({"pue": 0.9}, "pue"),
        ({"dtype": "fp5"}, "unknown data type"),
        ({"kv_dtype": "half"}, "unknown data type"),
    ],
)
def test_bad_deployments_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Deployment(LLAMA, H100, **options)  # type: ignore[arg-type]


def test_devices_without_a_link_work_alone() -> None:
    with pytest.raises(BadInput, match="no known link"):
        Deployment(LLAMA, catalog.device("apple-a18-pro"), tp=2)
