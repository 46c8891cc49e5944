"""The pages of `simulate` and `plan`: every figure where it belongs, and nothing made up."""

import re
from typing import Any

import pytest

from bursar.report import page, parse_record
from bursar.report.format import duration, fleet_words
from bursar.report.serving_record import Instances

EVIL = '"><script>alert(1)</script>'


def headline(text: str) -> list[str]:
    return re.findall(r'<dd class="big">([^<]+)</dd>', text)


def chart(text: str, name: str) -> str:
    (found,) = re.findall(rf'<svg id="{name}".*?</svg>', text)
    return str(found)


def heights(drawn: str) -> list[float]:
    """Of the first line of a chart, point by point; SVG counts downwards."""
    points = re.findall(r'<polyline[^>]* points="([^"]+)"', drawn)[0]
    return [float(point.split(",")[1]) for point in points.split()]


def test_what_was_simulated_is_in_the_headline(simulate_data: dict[str, Any]) -> None:
    text = page(parse_record(simulate_data))
    assert headline(text) == ["3", "75.0 %", "0.006", "500 J", "2 s"]
    assert "of 4 asked; preempted 1 times; 1 need more KV cache than a replica has" in text
    assert "first token within 2 s" in text
    assert "until the last answer, on 2 devices; 300 tokens in; 60 tokens out" in text
    assert "<h1>llama-3.1-8b on 2 x l40s</h1>" in text


def test_without_a_goal_none_is_shown(simulate_data: dict[str, Any]) -> None:
    simulate_data |= {"goal": {}, "slo_attainment": None}
    text = page(parse_record(simulate_data))
    assert headline(text)[1] == "800 ms"
    assert 'class="limit"' not in chart(text, "ttft_s")


def test_a_distribution_rises_and_marks_its_percentiles(simulate_data: dict[str, Any]) -> None:
    drawn = chart(page(parse_record(simulate_data)), "ttft_s")
    assert heights(drawn) == sorted(heights(drawn), reverse=True)
    assert re.findall(r'data-tip="([^"]+)"', drawn) == [
        "50 % of requests: at most 300 ms",
        "90 % of requests: at most 700 ms",
        "99 % of requests: at most 800 ms",
    ]
    assert "goal 2 s" in drawn


def test_a_timeline_says_each_stretch(simulate_data: dict[str, Any]) -> None:
    text = page(parse_record(simulate_data))
    tips = re.findall(r'data-tip="([^"]+)"', chart(text, "blocks"))
    assert tips == ["0 to 0.5 s: 10", "0.5 to 1 s: 60", "1 to 1.5 s: 50", "1.5 to 2 s: 20"]
    assert "at most 60 of 100 were held (60.0 %)" in text


def test_many_bins_share_their_stretches(simulate_data: dict[str, Any]) -> None:
    line = simulate_data["timeline"]
    for name in ("waiting", "running", "blocks", "watts"):
        line[name] = [float(i) for i in range(1000)]
    line["until_seconds"] = 499.7
    tips = re.findall(r'data-tip="([^"]+)"', chart(page(parse_record(simulate_data)), "waiting"))
    assert len(tips) <= 48
    assert tips[0] == "0 to 10.5 s: 0 to 20"
    assert tips[-1].endswith("499.7 s: 987 to 999")
    assert len(page(parse_record(simulate_data))) < 250_000


@pytest.mark.parametrize(("capacity", "drawn"), [(100, True), (2**40, False)])
def test_a_capacity_far_away_is_not_drawn(
    simulate_data: dict[str, Any], capacity: int, drawn: bool
) -> None:
    simulate_data["capacity_blocks"] = capacity
    blocks = chart(page(parse_record(simulate_data)), "blocks")
    assert ("capacity" in blocks) is drawn
    assert min(heights(blocks)) < 150, "the values fill the chart either way"


def test_where_nothing_was_served_or_no_energy_is_known(simulate_data: dict[str, Any]) -> None:
    none = dict.fromkeys(("mean", "p50", "p90", "p99"))
    simulate_data |= {"completed": 0, "ttft_s": none, "tpot_s": none, "e2e_s": none}
    simulate_data |= {"distributions": {}, "usage": {}}
    simulate_data |= {"joules_per_request": None, "usd_per_1k_requests": None}
    simulate_data["timeline"] |= {"watts": None}
    text = page(parse_record(simulate_data))
    assert headline(text) == ["0", "75.0 %", "–", "–", "–"]
    assert 'id="watts"' not in text
    assert 'id="waiting"' in text
    assert 'id="ttft_s"' not in text
    simulate_data["timeline"] |= {"until_seconds": 0}
    assert "Nothing was served." in page(parse_record(simulate_data))


def test_the_certificate_is_in_the_headline(plan_data: dict[str, Any]) -> None:
    text = page(parse_record(plan_data))
    assert headline(text) == ["3.00", "99.5 %", "87 %", "0.12 %", "1.6"]
    assert "The cheapest fleet for day.csv: first token within 2 s, 60 ms between tokens" in text
    plan_data |= {"budget_usd_per_hour": 20, "price": None}
    text = page(parse_record(plan_data))
    assert headline(text)[-1] == "–"
    assert "The most requests like those of day.csv for 20.00 USD/h" in text


def test_filled_marks_are_the_front(plan_data: dict[str, Any]) -> None:
    text = page(parse_record(plan_data))
    for name, wanted in (
        ("ttft_p99_s", {"l4": "filled", "h100": "filled", "a10g": "hollow"}),
        ("joules_per_request", {"l4": "filled", "h100": "filled"}),  # a10g: not known
    ):
        drawn = chart(text, name)
        marks = re.findall(r'class="mark s\d (\w+)"[^>]*data-tip="1 x (\w+)', drawn)
        assert {device: fill for fill, device in marks} == wanted
        assert drawn.count('data-tip="the plan: 1 x l4 tp2 fp8: 3.00 USD/h') == 1


def test_what_does_not_work_and_what_to_measure(plan_data: dict[str, Any]) -> None:
    text = page(parse_record(plan_data))
    assert '<td class="t">t4</td><td class="t">the weights do not fit: offer larger' in text
    assert '<td class="t">h100</td><td class="n">0.25</td>' in text
    assert '<td class="t">l4</td><td class="n">0.00</td>' not in text
    text = page(parse_record(plan_data | {"binding": [], "worth_measuring": {"l4": 0.0}}))
    assert "Every device that was offered can serve this alone." in text
    assert "would not save a cent an hour" in text


def test_commands_and_manifest_can_be_copied(plan_data: dict[str, Any]) -> None:
    copied = re.findall(r'<pre tabindex="0">(.*?)</pre>', page(parse_record(plan_data)), re.DOTALL)
    assert copied[:2] == ["vllm serve m --tp 2", "sglang --model m"]
    assert "&quot;kind&quot;: &quot;Deployment&quot;" in copied[2]


@pytest.mark.parametrize("name", ["simulate_data", "plan_data"])
def test_what_is_given_is_shown_as_text(request: pytest.FixtureRequest, name: str) -> None:
    data = request.getfixturevalue(name)
    data |= {"command": EVIL, "model": EVIL, "trace": EVIL, "settings": {EVIL: EVIL}}
    if name == "plan_data":
        data["binding"] = [f"{EVIL}: {EVIL}"]
        data["frontier"][0]["devices"] = [EVIL]
        data["fleet"][0]["device"] = EVIL
        data["commands"] = {"vllm": [EVIL], "sglang": [EVIL]}
        data["kubernetes"] = {EVIL: EVIL}
        data["worth_measuring"] = {EVIL: 1.0}
    else:
        data |= {"device": EVIL, "policy": EVIL, "router": EVIL}
    text = page(parse_record(data))
    assert text.count("<script>") == 1
    assert "alert(1)" in text


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(None, "–"), (0.0257, "25.7 ms"), (0.9996, "1 s"), (41.65, "41.6 s"), (5400, "90 min"),
     (36000, "10 h")],
)  # fmt: skip
def test_durations_are_short(seconds: float | None, says: str) -> None:
    assert duration(seconds) == says


def test_a_fleet_in_words() -> None:
    one = Instances(
        device="l4", count=4, replicas=2, tp=2, pp=1, ep=1, dp=1, dtype="fp8", policy=""
    )
    two = one.model_copy(update={"device": "b200", "tp": 1, "dp": 8})
    assert fleet_words([one, two]) == "2 x l4 tp2 fp8 + 2 x b200 dp8 fp8"
