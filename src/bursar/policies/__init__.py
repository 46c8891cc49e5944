"""Decides online, event by event: pure objects with `decide(state, now, price)`."""
