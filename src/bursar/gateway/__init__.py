"""The gateway: OpenAI's API with a budget on everything, `bursar serve`. Needs the gateway extra.

principal.py  who asks: a key's account, rights and limits; the protocol of whoever knows the keys
record.py     one finished request, for the log, the metrics and the dashboard
schedule.py   whose turn it is when a model is busy, and at what price
upstream/     who answers: OpenAI-compatible servers, Anthropic's API, the built-in model
"""
