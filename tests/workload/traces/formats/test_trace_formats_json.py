"""JSON traces and results: requests, hashed blocks, and the latencies that were measured."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import Recording, read_recording, read_trace

SERVING = Path(__file__).parents[4] / "../shared/data/serving"


def recorded(tmp_path: Path, *documents: Any) -> Recording:
    """What is read from a file with one document per line."""
    path = tmp_path / "run.json"
    path.write_text("\n".join(json.dumps(document) for document in documents))
    return read_recording(path)


def check(found: Recording, ttft: list[float], e2e: list[float], left_out: int) -> None:
    """The three requests that all the results below tell of, with these latencies."""
    assert found.trace.arrival_s == pytest.approx([0, 0.5, 2.0])
    assert found.trace.input_tokens.tolist() == [100, 200, 300]
    assert found.trace.output_tokens.tolist() == [3, 1, 5]
    assert found.ttft_s == pytest.approx(ttft, nan_ok=True)
    assert found.e2e_s == pytest.approx(e2e, nan_ok=True)
    assert found.left_out == left_out


MOONCAKE = [
    {"timestamp": 27482, "input_length": 1300, "output_length": 52, "hash_ids": [46, 47, 2353]},
    {"timestamp": 27482, "input_length": 600, "output_length": 26, "hash_ids": [46, 2366]},
    {"timestamp": 27000, "input_length": 10, "output_length": 1, "hash_ids": [9]},
]


def test_mooncake_blocks_follow_their_requests(tmp_path: Path) -> None:
    trace = recorded(tmp_path, *MOONCAKE).trace
    assert trace.arrival_s == pytest.approx([0, 0.482, 0.482])
    assert trace.blocks is not None
    assert trace.blocks.block_tokens == 512
    assert [trace.blocks.of(i).tolist() for i in range(3)] == [[9], [46, 47, 2353], [46, 2366]]


def test_mooncake_without_hashes_has_no_blocks(tmp_path: Path) -> None:
    bare = [{k: v for k, v in row.items() if k != "hash_ids"} for row in MOONCAKE]
    assert recorded(tmp_path, *bare).trace.blocks is None


def test_one_array_is_as_good_as_lines(tmp_path: Path) -> None:
    assert len(recorded(tmp_path, MOONCAKE).trace) == 3
    (tmp_path / "pretty.json").write_text(json.dumps(MOONCAKE, indent=2))
    assert len(read_trace(tmp_path / "pretty.json")) == 3


VLLM = {
    "date": "20250101-000000",
    "num_prompts": 4,
    "completed": 3,
    "request_throughput": 1.5,
    "input_lens": [200, 100, 50, 300],
    "output_lens": [1, 3, 0, 5],
    "start_times": [1000.5, 1000.0, 1001.0, 1002.0],
    "ttfts": [0.2, 0.1, 0.0, 0.3],
    "itls": [[], [0.01, 0.02], [], [0.1, 0.3]],
    "errors": ["", "", "refused", ""],
}


def test_vllm_bench(tmp_path: Path) -> None:
    check(recorded(tmp_path, VLLM), [0.1, 0.2, 0.3], [0.13, 0.2, 0.7], left_out=1)


def test_vllm_bench_of_a_server_that_did_not_stream(tmp_path: Path) -> None:
    silent = {**VLLM, "ttfts": [0.0] * 4, "itls": [[]] * 4}
    unknown = [np.nan] * 3
    check(recorded(tmp_path, silent), unknown, unknown, left_out=1)


def test_vllm_bench_says_what_a_run_lacks(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no list start_times; .* --save-detailed"):
        recorded(tmp_path, {k: v for k, v in VLLM.items() if k != "start_times"})
    with pytest.raises(BadInput, match="different lengths"):
        recorded(tmp_path, {**VLLM, "ttfts": [0.1]})
    with pytest.raises(BadInput, match="several JSON documents"):
        recorded(tmp_path, VLLM, VLLM)


def guidellm_request(start: float, tokens: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens[0],
        "output_tokens": tokens[1],
        "request_start_time": start,
        **more,
    }


def guidellm_report(**totals: Any) -> dict[str, Any]:
    first = [
        guidellm_request(50.5, (200, 1), request_latency=0.2, time_to_first_token_ms=None),
        guidellm_request(50.0, (100, 3), request_latency=0.13, time_to_first_token_ms=100.0),
    ]
    second = [guidellm_request(52.0, (300, 5), request_latency=0.7, time_to_first_token_ms=300.0)]
    cut_off = [guidellm_request(53.0, (9, 1))]
    return {
        "metadata": {"version": 2},
        "benchmarks": [
            {
                "requests": {"successful": first, "errored": [], "incomplete": cut_off},
                "metrics": {"request_totals": {"successful": 2, **totals}},
            },
            {"requests": {"successful": second, "errored": cut_off, "incomplete": None}},
        ],
    }


def test_guidellm(tmp_path: Path) -> None:
    check(recorded(tmp_path, guidellm_report()), [0.1, np.nan, 0.3], [0.13, 0.2, 0.7], left_out=2)


def test_guidellm_of_an_old_version(tmp_path: Path) -> None:
    """It calls the start otherwise, and has -1 for the time of a first token that never came."""
    report = guidellm_report()
    for benchmark in report["benchmarks"]:
        for request in benchmark["requests"]["successful"]:
            request["start_time"] = request.pop("request_start_time")
            if request["time_to_first_token_ms"] is None:
                request["time_to_first_token_ms"] = 1000 * (-1.0 - request["start_time"])
    check(recorded(tmp_path, report), [0.1, np.nan, 0.3], [0.13, 0.2, 0.7], left_out=2)


def test_a_sample_of_a_guidellm_run_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="benchmark 1 keeps 2 of 900 requests"):
        recorded(tmp_path, guidellm_report(successful=900))
    with pytest.raises(BadInput, match="no successful request"):
        recorded(tmp_path, {"benchmarks": []})


def inference_perf_report(place: str) -> list[dict[str, Any]]:
    """Three requests and a failed one; the response's numbers stand in `info[place]`."""

    def request(start: float, tokens: tuple[int, int], end: float, times: list[float]) -> Any:
        response = {"output_tokens": tokens[1], "output_token_times": times}
        info = {"input_tokens": tokens[0], **({place: response} if place else response)}
        return {"start_time": start, "end_time": end, "info": info, "error": None}

    failed = {"start_time": 7.0, "end_time": 7.1, "info": {"input_tokens": 5}}
    return [
        request(7.5, (200, 1), 7.7, []),
        request(7.0, (100, 3), 7.13, [7.1, 7.12, 7.13]),
        {**failed, "error": {"error_type": "Timeout", "error_msg": "late"}},
        request(9.0, (300, 5), 9.7, [9.3, 9.7]),
    ]


@pytest.mark.parametrize("place", ["", "response_info", "response_metrics"])
def test_inference_perf_of_every_version(place: str, tmp_path: Path) -> None:
    found = recorded(tmp_path, inference_perf_report(place))
    check(found, [0.1, np.nan, 0.3], [0.13, 0.2, 0.7], left_out=1)


def test_inference_perf_prefers_the_servers_count(tmp_path: Path) -> None:
    report = inference_perf_report("response_metrics")
    response = report[3]["info"]["response_metrics"]
    response.update(output_tokens=4, server_usage={"completion_tokens": 5})
    check(recorded(tmp_path, report), [0.1, np.nan, 0.3], [0.13, 0.2, 0.7], left_out=1)


def test_llmservingsim_workload(tmp_path: Path) -> None:
    rows = [
        {"input_toks": 20, "output_toks": 2, "arrival_time_ns": 46926808, "input_tok_ids": [1, 2]},
        {"input_toks": 10, "output_toks": 1, "arrival_time_ns": 312000000, "input_tok_ids": [1]},
    ]
    trace = recorded(tmp_path, *rows).trace
    assert trace.arrival_s == pytest.approx([0, 0.265073192])
    assert trace.input_tokens.tolist() == [20, 10]


def test_llmservingsim_token_ids_become_blocks_of_16(tmp_path: Path) -> None:
    first, second = list(range(16)), list(range(50, 66))
    prompts = [[*first, *second, 7], first[:15], [*second, *second, *first]]
    rows = [
        {"input_toks": len(ids), "output_toks": 2, "arrival_time_ns": i, "input_tok_ids": ids}
        for i, ids in enumerate(prompts)
    ]
    blocks = recorded(tmp_path, *rows).trace.blocks
    assert blocks is not None
    assert blocks.block_tokens == 16
    assert [blocks.of(i).tolist() for i in range(3)] == [[0, 1], [], [1, 1, 0]]
    rows[1]["input_tok_ids"] = [1, "2"]
    with pytest.raises(BadInput, match="input_tok_ids must be a list of whole numbers"):
        recorded(tmp_path, *rows)


def test_a_log_on_two_clocks_counts_the_wait_before_the_queue(tmp_path: Path) -> None:
    """The second request reached the engine 0.3 s after it was sent."""

    def row(sent: float, queued: float, first: float, last: float) -> dict[str, Any]:
        stamps = {"arrival_time": 1e9 + sent, "queued_ts": 27000.0 + queued}
        stamps |= {"first_token_ts": 27000.0 + first, "last_token_ts": 27000.0 + last}
        return {"request_id": "x", "input_toks": 5, "output_toks": 4, **stamps}

    found = recorded(tmp_path, row(0.0, 0.0, 0.5, 2.0), row(1.0, 1.3, 1.9, 4.0))
    assert found.ttft_s == pytest.approx([0.5, 0.9], abs=1e-5)
    assert found.e2e_s == pytest.approx([2.0, 3.0], abs=1e-5)


@pytest.mark.shared
def test_the_recorded_run_served_the_recorded_workload() -> None:
    workload = SERVING / "llmservingsim/sharegpt-llama-3.1-8b-300-sps10.jsonl"
    log = SERVING / "llmservingsim/bench/RTX4090/Llama-3.1-8B/vllm/requests.jsonl"
    if not (workload.exists() and log.exists()):
        pytest.skip("the recorded run is not here")
    asked, served = read_trace(workload), read_recording(log)
    assert np.array_equal(asked.input_tokens, served.trace.input_tokens)
    assert np.array_equal(asked.output_tokens, served.trace.output_tokens)
    assert served.trace.arrival_s == pytest.approx(asked.arrival_s, abs=0.05)
    assert asked.blocks is not None
    assert np.array_equal(np.diff(asked.blocks.offsets), asked.input_tokens // 16)
    assert served.ttft_s is not None
    assert served.e2e_s is not None
    assert np.all((served.ttft_s > 0) & (served.e2e_s > served.ttft_s))


@pytest.mark.shared
def test_the_recorded_mooncake_trace_has_a_hash_for_every_512_tokens() -> None:
    path = SERVING / "mooncake_synthetic_trace.jsonl"
    if not path.exists():
        pytest.skip("the recorded trace is not here")
    trace = read_trace(path)
    assert trace.blocks is not None
    per_request = np.diff(trace.blocks.offsets)
    assert np.array_equal(per_request, np.ceil(trace.input_tokens / 512))
