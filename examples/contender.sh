#!/bin/sh
# The demo's contender in shell: contender.sh LOCK URL FOLDER WHO, with the commands `leasehold` and
# `oracle-step` on PATH. Orders come in on stdin and what happens goes out on stdout, a line each;
# contender.py and contender/main.rs do the same.
#
# What it does under the lock is deliberately unsafe without it: `oracle-step` reads a number and
# writes the next one a little later, and nothing but the lock keeps another from doing so meanwhile.
# It need not ask whether the lock is still held: `leasehold run` ends it before another can hold it.
set -eu

# Under the lock: this script again, called by `leasehold run` below.
if [ "$1" = --held ]; then
  echo "held $LEASEHOLD_FENCE"
  read -r order || exit 0
  if [ "$order" = write ]; then
    oracle-step "$2" "$3" --hold-ms 20
    echo "wrote $LEASEHOLD_FENCE"
  fi
  exit 0
fi

lock=$1 url=$2 folder=$3 who=$4
while read -r order && [ "$order" = take ]; do
  echo waits
  leasehold run "$lock" --ttl 2s --store "$url" -- sh "$0" --held "$folder" "$who"
done
