"""How alembic runs the steps: on the connection it is given, within its transaction."""

from alembic import context

from bursar.gateway.tenants.schema import METADATA, REVISION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=REVISION_TABLE,
)
context.run_migrations()
