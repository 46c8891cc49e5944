"""CSV traces: the same requests come out of every format, and our own format loses nothing."""

from pathlib import Path

import numpy as np
import pytest

from bursar.workload.traces import Labels, Trace, read_recording, read_trace, write_trace

SERVING = Path(__file__).parents[4] / "../shared/data/serving"

PLAIN = """\
arrival_s,input_tokens,output_tokens
0.5,374,44
1.25,396,109
3.5,879,55
"""
AZURE_2023 = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 23:59:59.2500000,374,44
2023-11-17 00:00:00,396,109
2023-11-17 00:00:02.2500000,879,55"""
AZURE_2024 = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.250000+00:00,374,44
2024-05-10 00:00:01+00:00,396,109
2024-05-10 02:00:03.250000+02:00,879,55
"""
BURSTGPT = """\
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
19440110,ChatGPT,374,44,418,Conversation log
19440110.75,GPT-4,396,109,505,API log
19440111,ChatGPT,99,0,99,API log
19440113.0,ChatGPT,879,55,934,API log
"""
VIDUR = """\
arrived_at,num_prefill_tokens,num_decode_tokens
0.0,374,44
0.75,396,109
3.0,879,55
"""
APEX = """\
StartTimeOffset_ns,ContextTokens,GeneratedTokens
1000000000,374,44
1750000000,396,109
4000000000,879,55
"""
SAME = {
    "plain": PLAIN,
    "azure 2023": AZURE_2023,
    "azure 2023 with CRLF": AZURE_2023.replace("\n", "\r\n"),
    "azure 2024": AZURE_2024,
    "burstgpt": BURSTGPT,
    "vidur": VIDUR,
    "apex": APEX,
    "with a byte order mark": "\ufeff" + PLAIN,
    "with empty lines at the end": PLAIN + "\n\n",
    "with other columns": PLAIN.replace("\n", ",x\n"),
    "columns in another order": "output_tokens,arrival_s,input_tokens\n"
    "44,0,374\n109,.75,396\n55,3,879\n",
    "out of order": "\n".join([PLAIN.splitlines()[i] for i in (0, 3, 1, 2)]),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_every_format_tells_the_same_requests(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    trace = read_trace(tmp_path / "t.csv")
    assert trace.arrival_s == pytest.approx([0, 0.75, 3.0], abs=1e-9)
    assert trace.input_tokens.tolist() == [374, 396, 879]
    assert trace.output_tokens.tolist() == [44, 109, 55]


def test_timestamps_keep_their_last_digit(tmp_path: Path) -> None:
    """100 ns, which a float of seconds since 1970 can't hold."""
    (tmp_path / "t.csv").write_text(
        AZURE_2023.splitlines()[0]
        + "\n2023-11-16 18:15:46.6805900,1,1\n2023-11-16 18:15:46.6805901,1,1\n"
    )
    assert read_trace(tmp_path / "t.csv").arrival_s[1] == pytest.approx(1e-7, rel=1e-9)


def test_burstgpt_keeps_sessions_models_and_elapsed_times(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,"
        "Log Type\n"
        "45.0,abc,8,GPT-4,10,20,30,Conversation log\n"
        "50.0,,,ChatGPT,11,21,32,API log\n"
        "52.0,xyz,3,ChatGPT,11,0,11,API log\n"
        "60.0,abc,6,GPT-4,40,22,62,Conversation log\n"
    )
    found = read_recording(tmp_path / "t.csv")
    assert found.left_out == 1  # the failed call
    assert found.trace.prefix_id is not None
    assert found.trace.prefix_id.text().to_list() == ["abc", "", "abc"]
    assert found.trace.tenant is not None
    assert found.trace.tenant.text().to_list() == ["GPT-4", "ChatGPT", "GPT-4"]
    assert found.ttft_s is None
    assert found.e2e_s is not None
    assert np.array_equal(found.e2e_s, [8, np.nan, 6], equal_nan=True)


def test_vidur_lengths_without_arrivals_wait_at_second_0(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n30,3,33,10\n8,2,10,4\n"
    )
    trace = read_trace(tmp_path / "t.csv")
    assert trace.arrival_s.tolist() == [0, 0]
    assert trace.input_tokens.tolist() == [30, 8]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 2000
    arrival = np.sort(rng.random(n) * 1e5)
    trace = Trace(
        arrival - arrival[0],
        rng.integers(1, 2**40, n),
        rng.integers(1, 9, n),
        prefix_id=Labels.of([str(i) for i in rng.integers(0, 50, n)]),
        tenant=Labels.of([("", "a,b", 'say "x"', "é\nü")[i] for i in rng.integers(0, 4, n)]),
        priority=rng.integers(-3, 3, n),
    )
    write_trace(trace, tmp_path / "t.csv")
    again = read_trace(tmp_path / "t.csv")
    for name in ("arrival_s", "input_tokens", "output_tokens", "priority"):
        assert np.array_equal(getattr(again, name), getattr(trace, name)), name
    for name in ("prefix_id", "tenant"):
        assert getattr(again, name).text().equals(getattr(trace, name).text()), name


def test_columns_that_are_not_there_are_not_invented(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(PLAIN)
    found = read_recording(tmp_path / "t.csv")
    trace = found.trace
    assert (trace.blocks, trace.prefix_id, trace.tenant, trace.priority) == (None,) * 4
    assert (found.ttft_s, found.e2e_s, found.left_out) == (None, None, 0)


@pytest.mark.shared
def test_two_copies_of_the_azure_trace_agree() -> None:
    """Vidur ships the 2023 conversation trace in its own format."""
    azure, vidur = (
        SERVING / name
        for name in ("azure_llm_2023_conv.csv", "vidur/processed_traces/splitwise_conv.csv")
    )
    if not (azure.exists() and vidur.exists()):
        pytest.skip("the recorded traces are not here")
    one, other = read_trace(azure), read_trace(vidur)
    assert len(one) == 19_366
    assert np.array_equal(one.input_tokens, other.input_tokens)
    assert np.array_equal(one.output_tokens, other.output_tokens)
    assert one.arrival_s == pytest.approx(other.arrival_s, abs=1e-6)
