#!/bin/sh
# What a user of the shell runs: one curl per page, jq to CSV, sqlite3 to import it.
#
#     pipeline.sh PATH PAGE COLUMNS [NAME=VALUE ...]
#
# PATH is Close's own (/api/v1/lead/), COLUMNS a comma-separated list, the rest query parameters. The
# environment gives PIPELINE_URL and PIPELINE_TOKEN. Prints the number of imported rows.
set -eu
path=$1 page=$2 columns=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
filter='($columns | split(",")) as $names | .data[] | . as $row
    | [$names[] | $row[.] | if type == "object" or type == "array" then tojson else . end] | @csv'

skip=0
while :; do
    query=
    for pair in "$@"; do query="$query --data-urlencode $(printf '%s' "$pair" | sed 's/ /%20/g')"; done
    # shellcheck disable=SC2086  # a list of words without blanks
    curl -sS --fail --compressed --get -H "Authorization: Bearer $PIPELINE_TOKEN" \
        -H 'connection_name: close' -H 'identifier: user_demo' $query \
        -d "_limit=$page" -d "_skip=$skip" -o "$folder/page" "$PIPELINE_URL/proxy$path"
    jq -r --arg columns "$columns" "$filter" "$folder/page" >>"$folder/rows.csv"
    [ "$(jq .has_more "$folder/page")" = true ] || break
    skip=$((skip + page))
done
sqlite3 -batch "$folder/copy.db" 'PRAGMA synchronous = OFF' "CREATE TABLE copy($columns)" \
    ".import --csv $folder/rows.csv copy" 'SELECT count(*) FROM copy'
