"""Generated queries over the foreign tables give what the same queries give over local copies.

The queries come from the generator of test/host/property.py, in the dialect of PostgreSQL. Both sides
run in the same session; they must agree in their rows, or in the class of their error. The seed is
printed with what differs.
"""
import oracle
import property as queries
import standin

SEED = 20260923
COUNT = {True: 3000, False: 300}


# Fields that the service gives for a single object and leaves out of its list: a copy of the list lacks them.
ONLY_BY_ID = {("close_smart_views", "used_recently"),
              ("close_sequences", "subscription_counts_by_status")}


class Generator(queries.Generator):
    """Booleans are booleans here, and a sub-select in FROM has a name."""

    def query(self):
        query = super().query()
        if query.sql.startswith("SELECT count(*) FROM (") and query.sql.endswith(")"):
            query.sql += " AS s"
        return query

    def _value(self, table, column):
        value = super()._value(table, column)
        if column.kind == "boolean":
            return {"0": "false", "1": "true"}.get(value.split(".")[0], value)
        return value


def prepare(session, server, tables):
    session.ok(f"ALTER SERVER close OPTIONS (SET env_url '{server.url}')")
    session.ok("CREATE SCHEMA local")
    for table in tables:
        session.ok(f"CREATE TABLE local.{table} AS SELECT * FROM public.{table}")


def answer(session, schema, query):
    session.ok(f"SET search_path = {schema}")
    outcome = session.run(query.sql)
    if outcome.errors:
        return outcome.errors[0][0]
    rows = [tuple(row) for row in outcome.rows]
    return rows if query.ordered else sorted(rows, key=repr)


def test_generated_queries(env):
    compared = 0
    with standin.Standin(env.build, "--leads 45") as server, env.session() as s:
        copy = oracle.Oracle(server)
        prepare(s, server, copy.tables)
        tables = {table: [c for c in columns if (table, c.name) not in ONLY_BY_ID]
                  for table, columns in copy.tables.items()}
        generator = Generator(SEED, copy, tables)
        for number in range(COUNT[env.long]):
            query = generator.query()
            here, there = answer(s, "local", query), answer(s, "public", query)
            assert here == there, (f"query {number} of seed {SEED}:\n{query.sql}\n"
                                   f"local   {here[:10]}\nforeign {there[:10]}")
            compared += isinstance(here, list)
    assert compared > COUNT[env.long] * 0.8, f"only {compared} queries could be run"
