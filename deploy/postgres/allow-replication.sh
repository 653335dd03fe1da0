#!/bin/bash
# Run once, when the primary's data folder is made: lets the replica in, with the same password.
set -euo pipefail
echo "host replication dure all scram-sha-256" >> "$PGDATA/pg_hba.conf"
