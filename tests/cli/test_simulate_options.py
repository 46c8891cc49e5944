"""`bursar simulate`: what its fleets and traffic can be, as relations between runs of one trace."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bursar.catalog import device
from bursar.workload.traces import Labels, Trace, write_trace
from command_line import bursar

REQUESTS = 300
PLAIN = ("--model", "llama-3.1-8b", "--trace", "plain.csv", "--device", "l4")
CLASSES = (*PLAIN[:2], "--trace", "classes.csv", *PLAIN[4:])


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that an L4 can't quite carry, the same without and with classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    columns = (
        np.cumsum(rng.exponential(0.3, REQUESTS)),
        rng.integers(10, 2000, REQUESTS),
        rng.integers(1, 500, REQUESTS),
    )
    write_trace(Trace(*columns), "plain.csv")
    priority = (rng.random(REQUESTS) > 0.2).astype(int)
    tenant = Labels.of(
        rng.choice(["<b>maths</b>", "law", ""], REQUESTS, p=[0.6, 0.3, 0.1]).tolist()
    )
    write_trace(Trace(*columns, tenant=tenant, priority=priority), "classes.csv")


def simulated(*options: str, on: tuple[str, ...] = PLAIN) -> dict[str, Any]:
    ran = bursar("simulate", *on, *options, "--json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.document
    assert found["completed"] == found["requests"]
    return found


def page_of(found: dict[str, Any]) -> str:
    return (Path(found["run_dir"]) / "report.html").read_text("utf-8")


# --- prompts and answers apart -------------------------------------------------------------------


def test_prompts_on_their_own_replicas_start_sooner_and_caches_take_the_link() -> None:
    together = simulated("--replicas", "3", "--speed", "2")
    apart = ("--replicas", "2", "--prefill-replicas", "1", "--prefill-device", "l40s")
    fast, slow = (simulated(*apart, "--speed", "2", *link) for link in ((), ("--link", "50 MB/s")))
    assert fast["devices"] == together["devices"] == 3
    assert fast["ttft_s"]["p99"] < 0.5 * together["ttft_s"]["p99"]
    assert slow["ttft_s"] == fast["ttft_s"]
    assert slow["e2e_s"]["mean"] > fast["e2e_s"]["mean"] + 1
    assert (fast["prefill_replicas"], fast["prefill_device"]) == (1, "l40s")
    assert "1 x l40s for prompts + 2 x l4 for answers" in page_of(fast)
    rent = device("l40s").usd_per_hour + 2 * device("l4").usd_per_hour
    assert fast["usage"]["usd"] == pytest.approx(rent * fast["usage"]["seconds"] / 3600)


def test_a_link_that_is_given_as_it_would_be_taken_changes_nothing() -> None:
    apart = ("--prefill-replicas", "1")
    usual, given = simulated(*apart), simulated(*apart, "--link", "32 GB/s")  # of 64, both ways
    assert usual["e2e_s"] == given["e2e_s"]


# --- swaps ---------------------------------------------------------------------------------------


def test_preempted_caches_go_to_the_host_and_come_back() -> None:
    assert simulated()["swaps"] is None
    fast, slow = (simulated("--host-memory", memory) for memory in ("64 GB", "64 GB, 0.5 GB/s"))
    assert fast["preemptions"] > 0
    assert fast["swaps"]["blocks_out"] == fast["swaps"]["blocks_in"] > 0
    assert 0 < fast["swaps"]["stalled_seconds"] < slow["swaps"]["stalled_seconds"]
    assert "KV blocks to the hosts" in page_of(fast)


def test_a_host_without_room_for_a_request_is_no_help() -> None:
    tiny, without = simulated("--host-memory", "3 MB"), simulated()
    assert tiny["swaps"]["blocks_out"] == 0
    assert tiny["e2e_s"] == without["e2e_s"]


# --- classes -------------------------------------------------------------------------------------


def test_the_urgent_displace_others_who_run() -> None:
    plain, obeyed = simulated(on=CLASSES), simulated("--priorities", on=CLASSES)
    first = [run["by_priority"]["0"]["ttft_s"]["p99"] for run in (plain, obeyed)]
    assert first[1] < 0.7 * first[0]
    assert obeyed["preemptions"] > plain["preemptions"]


def test_classes_add_up() -> None:
    found = simulated("--ttft", "2 s", on=CLASSES)
    for name in ("by_priority", "by_tenant"):
        classes = found[name].values()
        assert sum(one["requests"] for one in classes) == REQUESTS
        assert sum(one["completed"] for one in classes) == found["completed"]
        met = sum(one["slo_attainment"] * one["requests"] for one in classes)
        assert met / REQUESTS == pytest.approx(found["slo_attainment"])
        mean = sum(one["e2e_s"]["mean"] * one["completed"] for one in classes) / REQUESTS
        assert mean == pytest.approx(found["e2e_s"]["mean"])
    assert list(found["by_priority"]) == ["0", "1"]
    assert list(found["by_tenant"]) == ["<b>maths</b>", "law", ""]
    page = page_of(found)
    assert "By priority" in page
    assert "&lt;b&gt;maths" in page
    assert "<b>maths" not in page


def test_a_trace_without_classes_has_none() -> None:
    found = simulated()
    assert found["by_priority"] == found["by_tenant"] == {}
    assert "By tenant" not in page_of(found)


def test_of_many_tenants_those_who_ask_most_are_shown() -> None:
    lines = [f"{i},100,5,t{i if i < 150 else 7}" for i in range(160)]
    Path("many.csv").write_text("arrival_s,input_tokens,output_tokens,tenant\n" + "\n".join(lines))
    found = simulated(on=(*PLAIN[:2], "--trace", "many.csv", *PLAIN[4:]))
    assert len(found["by_tenant"]) == 100
    assert next(iter(found["by_tenant"])) == "t7"
    assert "The first 20; run.json has more." in page_of(found)


# --- migration and power -------------------------------------------------------------------------


def test_running_requests_move_where_the_link_is_fast_enough() -> None:
    on = ("--replicas", "3", "--speed", "3")
    still, moved = simulated(*on, "--router", "freest"), simulated(*on, "--migrate")
    assert still["moves"] == 0
    assert moved["moves"] > 0
    assert moved["router"] == "freest"
    assert simulated(*on, "--migrate", "--link", "1 MB/s")["moves"] < moved["moves"]
    assert f"moved {moved['moves']} times" in page_of(moved)


def test_a_breaker_far_above_the_load_changes_nothing() -> None:
    on = ("--replicas", "4", "--speed", "2")
    free, without = simulated(*on, "--breaker", "1 MW"), simulated(*on)
    assert free["e2e_s"] == without["e2e_s"]
    assert without["breaker_watts"] is None
    assert 4 * device("l4").idle_watts < free["peak_watts"] <= 4 * device("l4").tdp_watts
    assert ">breaker 1M<" not in page_of(free)


def test_a_breaker_lowers_the_power_and_with_it_the_speed() -> None:
    on = ("--replicas", "4", "--speed", "2")
    free, capped = (simulated(*on, "--breaker", watts) for watts in ("1 MW", "120 W"))
    watts = [run["usage"]["joules"] / run["usage"]["seconds"] for run in (free, capped)]
    assert watts[1] < watts[0]
    assert capped["e2e_s"]["mean"] > 1.1 * free["e2e_s"]["mean"]
    assert capped["breaker_watts"] == 120
    assert ">breaker 120<" in page_of(capped)
    assert ("it is passed" in page_of(capped)) == (capped["peak_watts"] > 120)


def test_the_urgent_are_capped_last() -> None:
    on = ("--replicas", "4", "--priorities")
    free, capped = (simulated(*on, "--breaker", watts, on=CLASSES) for watts in ("1 MW", "170 W"))
    assert capped["router"] == "by_priority"
    slower = {
        name: capped["by_priority"][name]["ttft_s"]["p50"] / one["ttft_s"]["p50"]
        for name, one in free["by_priority"].items()
    }
    assert slower["1"] > 1.05
    assert slower["0"] - 1 < 0.5 * (slower["1"] - 1)


# --- users ---------------------------------------------------------------------------------------


def test_more_users_are_served_at_a_higher_rate_and_wait_longer() -> None:
    few, many = (simulated("--users", n, "--think", "2 s") for n in ("4", "24"))
    assert few["requests"] >= REQUESTS
    assert few["users"] == {"users": 4, "turns": 75, "think_seconds": 2}
    assert few["requests_per_second"] < many["requests_per_second"] < 24 / 2
    assert few["tpot_s"]["p50"] < many["tpot_s"]["p50"]
    assert "drawn by 24 users who ask 13 times each" in page_of(many)


def test_little_s_law_holds_for_users() -> None:
    """Of users who never stop, each asks once in the time to answer and the time to think."""
    found = simulated("--users", "3", "--think", "10 s")
    cycle = found["e2e_s"]["mean"] + 10
    assert found["requests_per_second"] == pytest.approx(3 / cycle, rel=0.1)


def test_users_draw_the_same_with_the_same_seed() -> None:
    one, same, other = (simulated("--users", "5", "--seed", seed) for seed in ("1", "1", "2"))
    assert one["e2e_s"] == same["e2e_s"] != other["e2e_s"]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--migrate",), 2, "--migrate with 1 replica"),
        (("--migrate", "--replicas", "2", "--link", "0 GB/s"), 2, "bytes above zero"),
        (("--migrate", "--replicas", "2", "--link", "25 GB"), 2, "bytes a second"),
        (("--link", "25 GB/s"), 2, "is for --prefill-replicas and --migrate"),
        (("--prefill-device", "l40s"), 2, "is for --prefill-replicas"),
        (("--prefill-replicas", "0"), 2, "replicas = 0"),
        (("--prefill-replicas", "1", "--prefill-device", "l400"), 2, "l400"),
        (
            ("--prefill-replicas", "1", "--scale", "target_load"),
            *(2, "--prefill-replicas 1 with --scale target_load"),
        ),
        (("--prefill-replicas", "1", "--host-memory", "1 GB"), 2, "leave one of the two out"),
        (("--host-memory", "64 GB", "--prefix-cache"), 2, '"64 GB" with --prefix-cache'),
        (("--host-memory", "64 GB", "--breaker", "1 kW"), 2, "leave one of the two out"),
        (("--host-memory", "64 s"), 2, "bytes above zero"),
        (("--host-memory", "64 GB, fast"), 2, "bytes a second"),
        (("--host-memory", "1 kB"), 1, "give more memory"),
        (("--priorities",), 2, "add a column `priority`"),
        (("--breaker", "10 A"), 2, 'such as "30 kW"'),
        (("--breaker", "0 W"), 2, "above zero"),
        (("--breaker", "1 W"), 1, "when they do nothing"),
        (("--breaker", "1 kW", "--scale", "target_load"), 2, "leave one of the two out"),
        (("--breaker", "1 kW", "--device", "gb10"), 2, "gb10 has no known power"),
        (
            ("--migrate", "--replicas", "2", "--device", "jetson-thor"),
            *(2, 'give --link "25 GB/s"'),
        ),
        (("--users", "0"), 2, "0 users"),
        (("--users", "5", "--speed", "2"), 2, "--speed 2 with --users 5"),
        (("--users", "5", "--prefill-replicas", "1"), 2, "leave one of the two out"),
        (("--users", "5", "--think", "5 W"), 2, "W"),
    ],
)
def test_what_does_not_go_together(options: tuple[str, ...], code: int, says: str) -> None:
    ran = bursar("simulate", *PLAIN, *options)
    assert ran.code == code, ran.err
    assert len(ran.errors) == 1
    assert says in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    assert not Path("runs").exists()


def test_replicas_for_the_urgent_leave_no_choice_of_a_router() -> None:
    row = ("simulate", *CLASSES, "--breaker", "1 kW", "--priorities")
    for options, says in (
        (("--replicas", "2", "--router", "least_jobs"), "leave out one of the three"),
        ((), "give --replicas 2"),
    ):
        ran = bursar(*row, *options)
        assert ran.code == 2
        assert says in " ".join(ran.err.split())
