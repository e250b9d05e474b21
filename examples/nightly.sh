#!/bin/sh
# A nightly job that must not run twice at once: on a slow night the next one begins before this one
# has ended. The line in the crontab (cron's PATH is short, so name both programs in full):
#
#   30 2 * * *  /usr/local/bin/leasehold run nightly --wait 0 --ttl 1m -- /usr/local/bin/nightly.sh /srv /backup
#
# `--wait 0` ends with 75 where the last one still runs. `--ttl 1m` is about how long the next one has
# to wait where leasehold itself was killed in the middle of it.
set -eu

from=${1:?usage: nightly.sh FROM TO}
to=${2:?usage: nightly.sh FROM TO}
mkdir -p "$to"

# Fences only grow, so a run that was overtaken by a later one can be told here, whatever held it up.
last=0
[ ! -e "$to/fence" ] || read -r last <"$to/fence"
if [ "$LEASEHOLD_FENCE" -le "$last" ]; then
  echo "nightly: fence $LEASEHOLD_FENCE is not newer than $last, of a later run" >&2
  exit 1
fi

# Made beside, then put in place in one step.
tar -cf "$to/backup.$LEASEHOLD_FENCE" -C "$from" .
mv "$to/backup.$LEASEHOLD_FENCE" "$to/backup.tar"
echo "$LEASEHOLD_FENCE" >"$to/fence"
