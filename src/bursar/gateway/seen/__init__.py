"""How the gateway is seen: what it did, does and costs, without a prompt, an answer or a key.

sums.py     exact sums of finished requests, by hour and day
tables.py   where requests and sums are kept, beside the ledger
journal.py  writes them
frame.py    what someone looks at, and may look at
look.py     reads what is in a frame; used.py how much of a limit was used over time
exports.py  CSV and Parquet
now.py      the protocol of whoever knows this moment
views.py    the dashboard's data, as routes
metrics.py  Prometheus's /metrics; gauges.py what they show of this moment
workers.py  what the workers of one machine tell each other
traces.py   OpenTelemetry
logs.py     JSON lines
beat.py     a thread that does one thing again and again
"""
