"""Whatever a server says in JSON, a reply or an event is read or is a failure, and nothing else."""

import json
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.gateway.upstream import UpstreamFailed
from bursar.gateway.upstream.anthropic import _completion, _EventReader, _tokens
from bursar.gateway.upstream.http import Server
from bursar.gateway.upstream.openai import _check_whole, _ChunkReader, read_tokens

_WORDS = ["choices", "delta", "message", "content", "text", "index", "finish_reason", "usage"]
_WORDS += ["type", "message_start", "content_block_start", "content_block_delta", "message_delta"]
_WORDS += ["content_block_stop", "content_block", "text_delta", "tool_use", "thinking", "id"]
_WORDS += ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "stop_reason"]
_WORDS += ["prompt_tokens_details", "cached_tokens", "model", "error", "code", "data", "input"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(_WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=5)
    ),
    max_leaves=12,
)
anything = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


def server():
    return Server("there", "http://there.test", key=None, headers={})


@anything
@given(st.lists(VALUES, max_size=4))
def test_events(values):
    for reader in (_ChunkReader(server()), _EventReader(server())):
        with suppress(UpstreamFailed):
            for value in values:
                assert isinstance(reader.read(json.dumps(value).encode()), list)
            reader.end()


@anything
@given(st.dictionaries(st.sampled_from(_WORDS), VALUES, max_size=6))
def test_documents(document):
    for path in ("chat/completions", "completions", "embeddings"):
        with suppress(UpstreamFailed):
            assert isinstance(_check_whole(server(), path, document), bool)
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # what `complete` expects
        assert _completion(document)["choices"]
    for tokens in (read_tokens(document.get("usage"), said=True), _tokens(document.get("usage"))):
        assert tokens is None or tokens.tokens_in >= 1
