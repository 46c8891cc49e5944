"""Tenancy: organisations, their teams, keys, limits, and everyone who may change them.

Organisations and teams are named by slugs that never change, because their accounts are made of
them ("organisation/team/key"); titles may change.

secret_keys.py  what a key looks like; only its digest is kept
schema.py       tables, and `migrate`
directory.py    `KeyDirectory`: whoever presented a key, from memory
"""
