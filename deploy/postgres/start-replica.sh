#!/bin/bash
# Copy the primary the first time, then follow it.
set -euo pipefail
export PGPASSWORD="$POSTGRES_PASSWORD"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    until pg_basebackup -h postgres -U dure -D "$PGDATA" -R -X stream -c fast; do
        echo "the primary does not answer yet"
        rm -rf "${PGDATA:?}"/*
        sleep 2
    done
fi
chmod 700 "$PGDATA"
exec postgres -c hot_standby=on
