#!/bin/sh
# make demo: starts the stand-in service with sample data on a random loopback port and runs real
# queries against it, first in the sqlite3 shell, then in psql on a private cluster. Leaves nothing.
set -eu
build=$1
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

"$build/close-standin" --leads 500 >"$work/url" 2>"$work/standin.log" &
server=$!
tries=0
until grep -q '^listening on ' "$work/url"; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$work/standin.log" >&2
        echo "demo: the stand-in service did not start" >&2
        exit 1
    fi
    sleep 0.1
done
SCALEKIT_ENV_URL=$(sed -n 's/^listening on //p' "$work/url")
export SCALEKIT_ENV_URL SCALEKIT_CLIENT_ID=skc_demo SCALEKIT_CLIENT_SECRET=demo-secret
export CLOSE_CONNECTION=close CLOSE_IDENTIFIER=user_demo

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
sql() { # prints the statement, then its answer
    printf '\nsqlite> %s\n' "$1"
    sqlite3 -batch -cmd ".load $build/sqlite/close" -cmd '.mode box --wrap 60' "$work/demo.db" "$1"
}

say "Close in SQL: the stand-in service answers at $SCALEKIT_ENV_URL (500 sample leads)"
say "1. SQLite: the sqlite3 shell with .load $build/sqlite/close"
sql "SELECT id, name FROM close_leads WHERE query = 'Acme' LIMIT 3;"
sql "SELECT status_label, count(*) AS leads FROM close_leads GROUP BY 1 ORDER BY 2 DESC;"
sql "SELECT l.name, o.value / 100.0 AS amount, o.value_currency AS cur FROM close_opportunities o JOIN close_leads l ON l.id = o.lead_id WHERE o.status_type = 'won' ORDER BY o.value DESC LIMIT 5;"
sql "CREATE TABLE visits(lead_id TEXT, body TEXT); CREATE TRIGGER visit_note AFTER INSERT ON visits BEGIN SELECT close_note_create(NEW.lead_id, NEW.body); END;"
# Newer shells start with no trust in what a schema calls.
sql "PRAGMA trusted_schema = ON; INSERT INTO visits SELECT id, 'Visited the plant' FROM close_leads LIMIT 1;"
sql "SELECT n.id, n.note FROM close_notes n JOIN visits v ON v.lead_id = n.lead_id WHERE n.note = 'Visited the plant';"
sql "EXPLAIN QUERY PLAN SELECT id, name FROM close_leads WHERE query = 'Acme' LIMIT 3;"

say "2. PostgreSQL: psql on a private cluster, removed afterwards"
python3 test/demo_pg.py "$build"

say "Your own data: set these four for a real Scalekit environment, then load the same library"
cat <<'END'
  export SCALEKIT_ENV_URL=https://acme.scalekit.dev    # the environment's URL
  export SCALEKIT_CLIENT_ID=skc_...  SCALEKIT_CLIENT_SECRET=...
  export CLOSE_IDENTIFIER=user_123                     # whose Close account (CLOSE_CONNECTION if it is not "close")
  sqlite3 -cmd '.load build/sqlite/close'
  sqlite> SELECT close_authorization_link();           -- open it once to connect the account
  sqlite> SELECT first_name, email FROM close_me;
END
