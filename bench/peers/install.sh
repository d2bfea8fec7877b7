#!/bin/sh
# Installs the peers that the benches measure Daybreak against, as far as this machine allows: `bench/peers/install.sh`, or
# `bench/peers/install.sh etcd` for some. Says in one line for each peer what there is, or why not and what to do about it.
# Safe to run again: what is there stays. Exit status 0 also where a peer is absent: its benches skip it and say so.
#
# What is built goes to $DAYBREAK_BENCH_CACHE, by default ~/.cache/daybreak-bench. No service is started or enabled.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${DAYBREAK_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/daybreak-bench}
export cache
mkdir -p "$cache/bin"

for script in "$here"/install/*.sh; do
  peer=$(basename "$script" .sh)
  case $peer in _*) continue ;; esac
  if [ $# -gt 0 ]; then
    case " $* " in *" $peer "*) ;; *) continue ;; esac
  fi
  # A peer that cannot be had is a finding, not a failure.
  sh "$script" || echo "$peer: its script failed; run sh -x $script to see where"
done
exit 0
