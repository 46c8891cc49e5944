"""The gateway: OpenAI's API with a budget on everything, `bursar serve`. Needs the gateway extra.

A request's way through it, top to bottom:

protocol.py    HTTP with limits on heads and patience; local_only.py where there are no keys
app.py         routes; openapi.py describes them; opening.py opens all parts, serve.py the workers
api/           OpenAI's endpoints: bodies in, answers and events out
counter.py     what endpoints share, and the record that each request leaves
ask.py         a request, read and checked; idempotency.py answers one that was asked before
principal.py   who asks; tenants/ knows organisations, teams, keys, limits, and who may change them
placing.py     what serves it, the most it can use (bounds.py, afford.py), what to do near a limit
               (near.py), and its hold in the ledger
desk.py        call, stream, settle; bill.py is what the client is told, errors.py what went wrong
thinking.py    strategies, on a loop of their own; reading.py says which answer a text states
schedule.py    whose turn it is when a model is busy, and at what price
upstream/      who answers: OpenAI-compatible servers, Anthropic's API, the built-in model; pools
routes.py      a name behind which a router chooses a model
config.py      what a gateway is told; reload.py follows its file; models.py opens what it names
janitor.py     charges what dead workers held; duty.py is what workers do beside serving
seen/          records, sums, metrics, traces, logs, exports; dashboard/ shows them
"""
