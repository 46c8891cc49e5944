"""How the gateway is seen: what it did, does and costs, without a prompt, an answer or a key.

sums.py     exact sums of finished requests, by hour and day
tables.py   where requests and sums are kept, beside the ledger
journal.py  writes them
metrics.py  Prometheus's /metrics
traces.py   OpenTelemetry
logs.py     JSON lines
workers.py  what the workers of one machine tell each other
beat.py     a thread that does one thing again and again
"""
