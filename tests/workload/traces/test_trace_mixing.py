"""Several traces at once: everything arrives, in order, and nothing is shared by accident."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import Blocks, Labels, Trace, mixed, summary


def spaced(count: int, gap_s: float, **columns: object) -> Trace:
    ones = np.ones(count, dtype=int)
    return Trace(np.arange(count) * gap_s, ones, ones, **columns)  # type: ignore[arg-type]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rates_add_up_and_each_tenant_keeps_its_own() -> None:
    chat, code = spaced(1000, 0.5), spaced(250, 2.0)
    both = mixed({"chat": chat, "code": code}, rng())
    assert np.all(np.diff(both.arrival_s) >= 0)
    assert both.tenant is not None
    for name, part in (("chat", chat), ("code", code)):
        mine = both.take(both.tenant.equal(name))
        assert np.array_equal(mine.arrival_s, part.arrival_s)
    assert summary(both).rate_per_s == pytest.approx(2.5, rel=0.01)


def test_a_weight_is_the_share_that_is_kept() -> None:
    parts = {"chat": spaced(20_000, 1.0), "code": spaced(20_000, 1.0)}
    both = mixed(parts, rng(), {"code": 0.25})
    assert both.tenant is not None
    assert both.tenant.equal("chat").sum() == 20_000
    assert both.tenant.equal("code").sum() == pytest.approx(5000, rel=0.05)


def test_equal_hashes_of_two_sources_are_not_one_prefix() -> None:
    def conversations() -> Trace:
        blocks = Blocks(np.array([0, 2, 4]), np.array([7, 8, 7, 9]), 512)
        return spaced(2, 1.0, blocks=blocks, prefix_id=Labels.of(["x", ""]))

    both = mixed({"a": conversations(), "b": conversations(), "c": spaced(1, 1.0)}, rng())
    assert both.blocks is not None
    assert both.prefix_id is not None
    assert both.tenant is not None
    first = {name: int(np.argmax(both.tenant.equal(name))) for name in "abc"}
    a, b = both.blocks.of(first["a"]), both.blocks.of(first["b"])
    assert not set(a) & set(b)
    later = both.take(both.tenant.equal("a")).blocks
    assert later is not None
    assert later.of(0)[0] == later.of(1)[0]  # 7 and 7, within one source
    assert later.of(0)[1] != later.of(1)[1]  # 8 and 9
    assert len(both.blocks.of(first["c"])) == 0
    assert both.prefix_id.text().to_list() == ["a/x", "b/x", "", "", ""]


def test_tenants_within_a_tenant_and_missing_priorities() -> None:
    named = spaced(2, 1.0, tenant=Labels.of(["red", ""]), priority=np.array([3, -1]))
    both = mixed({"a": named, "b": spaced(2, 1.0)}, rng())
    assert both.tenant is not None
    assert both.tenant.text().to_list() == ["a/red", "b", "a", "b"]
    assert both.priority is not None
    assert both.priority.tolist() == [3, 0, -1, 0]


def test_what_can_not_be_mixed() -> None:
    one = spaced(2, 1.0)
    with pytest.raises(BadInput, match="no trace"):
        mixed({}, rng())
    with pytest.raises(BadInput, match=r"weights name \['b'\]"):
        mixed({"a": one}, rng(), {"b": 0.5})
    with pytest.raises(BadInput, match=r"share is 2"):
        mixed({"a": one}, rng(), {"a": 2})
    sizes = {
        str(size): spaced(1, 1.0, blocks=Blocks(np.array([0, 1]), np.array([1]), size))
        for size in (16, 512)
    }
    with pytest.raises(BadInput, match="one size"):
        mixed(sizes, rng())
