#!/bin/sh
# The first shell program: run a command under a lock.
leasehold run invoice:42 --ttl 30s --wait 5s -- \
  sh -c 'echo "$LEASEHOLD_NAME is ours, fence $LEASEHOLD_FENCE"'
