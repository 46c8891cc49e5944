"""Migrations of the gateway's tables, run by `bursar.gateway.tenants.schema.migrate`."""
