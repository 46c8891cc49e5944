"""Tenancy: organisations, their teams, keys, limits, and everyone who may change them.

Organisations and teams are named by slugs that never change, because their accounts are made of
them ("organisation/team/key"); titles may change.

secret_keys.py  what a key looks like; only its digest is kept
schema.py       tables, and `migrate`; migrations/ has its steps
database.py     one transaction at a time
directory.py    `KeyDirectory`: whoever presented a key, from memory

actor.py        roles, and what of the tables each may see
teams.py        organisations and teams
keys.py         keys: made, changed, rotated, revoked
budgets.py      limits and soft thresholds, and how full each limit is
end_users.py    the limits that a key gives each of its end users
usage.py        what accounts have spent
audit.py        who changed what
store.py        `Tenants`: all of these together

policy.py       near a limit: cheaper, smaller, later, before it is refused; pure
watch.py        how full limits are, in memory; crossings of thresholds
webhooks.py     who is told of them, signed
courier.py      tells them, at public addresses only

admin.py        the admin API
documents.py    its JSON
session.py      the dashboard's cookie and CSRF token
"""
