"""A file that can't be read says which line, what the rule is, and what to do."""

import json
from pathlib import Path

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import Trace, read_trace, write_trace

HEAD = "arrival_s,input_tokens,output_tokens\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
LINE = json.dumps({"timestamp": 0, "input_length": 9, "output_length": 3, "hash_ids": [1]}) + "\n"
DETAILED = '{"completed": 1, "request_throughput": 2, "input_lens": [1], "output_lens": [2], '
DETAILED += '"ttfts": [0.1], "start_times": [1.0], "itls": ["a"]}'
PERF = '[{"start_time": 2, "end_time": %s, "error": null, "info": {"input_tokens": 1, '
PERF += '"output_tokens": 3}}]'

BAD = {
    "empty": ("", "the file is empty"),
    "blank": ("\n \n", "the file is empty"),
    "only a header": (HEAD, "a header and no request"),
    "negative time": (HEAD + "0,1,1\n-1,1,1\n", r":3: arrival_s is -1, must be .* zero or more"),
    "NaN time": (HEAD + "nan,1,1\n", ":2: arrival_s is nan"),
    "infinite time": (HEAD + "inf,1,1\n", ":2: arrival_s is inf"),
    "negative length": (HEAD + "0,1,1\n1,-5,1\n2,1,1\n", ":3: input_tokens is -5, must be a whole"),
    "half a token": (HEAD + "0,1,1.5\n", r":2: output_tokens is 1\.5, must be a whole"),
    "huge length": (HEAD + "0,1e20,1\n", r":2: input_tokens is 1e\+20"),
    "no number": (HEAD + "0,many,1\n1,1,1\n", ":2: input_tokens 'many' can't be read"),
    "missing field": (HEAD + "0,,1\n1,1,1\n", ":2: input_tokens is missing"),
    "empty line inside": (HEAD + "0,1,1\n\n1,1,1\n", ":3: arrival_s is missing"),
    "half a last line": (HEAD + "0,1,1\n1,2", ":3: output_tokens is missing.*only half"),
    "field too many": (HEAD + "0,1,1\n1,2,3,4\n", ":3: 4 fields, the header names 3"),
    "open quote": (HEAD + '0,"1,1\n1,2,3\n', ":3: .*only half"),
    "priority": (HEAD.strip() + ",priority\n0,1,1,1.5\n", r":2: priority is 1\.5"),
    "nobody served": (HEAD + "0,0,1\n1,1,0\n", "none of 2 requests was served"),
    "missing column": ("arrival_s,input_tokens\n0,1\n", "plain trace it must have output_tokens"),
    "unknown columns": ("when,what\n0,1\n", "no known trace format has what, when; use one of"),
    "impossible date": (AZURE + "2023-13-16 18:15:46,1,2\n2023-11-16 18:15:46,1,2\n", ":2: TIMES"),
    "half a date": (AZURE + "2023-11-16 18:15:46,1,2\n2023-11-1", ":3: TIMESTAMP .*only half"),
    "half a JSON line": (LINE + LINE[:30], ":2: not valid JSON .*only half"),
    "half of one JSON line": (LINE[:30], "not valid JSON .*only half"),
    "negative JSON length": (LINE + LINE.replace("9", "-9"), ":2: input_length is -9"),
    "NaN in JSON": (LINE + LINE.replace("9", "NaN"), ":2: input_length is nan"),
    "text in JSON": (LINE + LINE.replace("9", '"9"'), ":2: input_length is '9', must be a finite"),
    "a truth in JSON": (LINE + LINE.replace("9", "true"), ":2: input_length is 'True'"),
    "endless integer": (LINE + LINE.replace("9", "9" * 400), ":2: input_length is '999"),
    "null in JSON": (LINE + LINE.replace("9", "null"), ":2: input_length is missing"),
    "hashes of text": (LINE + LINE.replace("[1]", '["1"]'), ":2: hash_ids must be a list of whole"),
    "hashes missing": (LINE + LINE.replace("hash", "other"), ":2: hash_ids must be a list"),
    "JSON list inside": (LINE + "[1]\n", r":2: '\[1\]' must be a JSON object"),
    "JSON null": (LINE + "null\n", ":2: 'None' must be a JSON object"),
    "empty JSON": ("[]", "no known trace format"),
    "bottomless JSON": ("[" * 100_000, "not valid JSON"),
    "other JSON": ('{"timestamp": 1}', "mooncake trace it must have input_length, output_length"),
    "gaps of text": (DETAILED, "request 1: itls is 'a'"),
    "a gap of text": (DETAILED.replace('"a"', '["a"]'), "request 1: itls is 'a'"),
    "a number for a request": (
        '{"benchmarks": [{"requests": {"successful": [3]}}]}',
        "benchmark 1 has requests that are no objects",
    ),
    "a result in a list": (f"[{DETAILED}]", "no list input_lens"),
    "end before start": (PERF % "1.5", "request 1: the latency is -0.5"),
    "no end": (PERF % "null", "request 1: end_time is missing"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_says_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=said) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [HEAD.encode() + b"0,1,\xe9\n", b"arriv\xe9e\n1\n", b"\x1f\x8b\x08\x00"]
)
def test_says_that_it_is_not_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BadInput, match="not UTF-8 text"):
        read_trace(tmp_path / "t.csv")


def test_says_what_can_not_be_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read_trace(tmp_path / "nowhere.csv")
    with pytest.raises(BadInput, match="can't be read"):
        read_trace(tmp_path)
    with pytest.raises(BadInput, match="can't be written"):
        write_trace(
            Trace(np.zeros(1), np.ones(1, int), np.ones(1, int)), tmp_path / "nowhere" / "t.csv"
        )


def test_a_line_number_is_right_far_down(tmp_path: Path) -> None:
    rows = [f"{i},5,5" for i in range(50_000)]
    rows[43_210] = "43210,5,-5"
    (tmp_path / "t.csv").write_text(HEAD + "\n".join(rows))
    with pytest.raises(BadInput, match=":43212: output_tokens is -5"):
        read_trace(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text", [HEAD + "0,374,44\n1.5,396,109\n", LINE + LINE], ids=["csv", "json"]
)
def test_a_file_cut_anywhere_is_read_or_refused(text: str, tmp_path: Path) -> None:
    """Never a crash, and never a request that was not in the file."""
    path = tmp_path / "t.txt"
    read = 0
    for end in range(len(text)):
        path.write_text(text[:end])
        try:
            read += len(read_trace(path)) <= 2
        except BadInput as said:
            read += str(path) in str(said)
    assert read == len(text)
