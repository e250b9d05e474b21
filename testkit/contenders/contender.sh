#!/bin/sh
# contender.sh URL NAME COUNT DIR WHO: a shell that runs a section for the oracle ($STEP) under
# `leasehold run` ($LEASEHOLD), COUNT times.
#
# Prints `ready`, waits for a line on its input, and prints `done` at the end.
set -eu

url=$1 name=$2 count=$3 folder=$4 who=$5
echo ready
read -r _
while [ "$count" -gt 0 ]; do
  "$LEASEHOLD" run --store "$url" "$name" -- "$STEP" "$folder" "$who"
  count=$((count - 1))
done
echo done
