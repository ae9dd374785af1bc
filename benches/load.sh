#!/usr/bin/env bash
# How long four photos take with the embedded network: alone, with a second program beside it, and under quotas of processor
# time as containers have them (`cpu.max`, or `cpu.cfs_quota_us`). Medians of RUNS runs (7), and the ratio to one run alone.
#
#   benches/load.sh [PROGRAM]
#
# Quotas need root and control groups. Let nothing else run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=$(realpath "${1:-target/release/maskrcnn}")
runs=${RUNS:-7}
work=$(mktemp -d)
group=
clean() {
  rm -rf "$work"
  [ -z "$group" ] || rmdir "$group" 2>/dev/null || true
}
trap clean EXIT
photos=(examples/photos/{astronaut.png,dog1.jpg,dog2.jpg,person1.jpg})

segment() { "$program" --quiet --output "$work/$1" "${photos[@]}"; }
beside() {
  segment first &
  local first=$!
  segment second
  wait "$first"
}
within() { # QUOTA: the share of a core, in a control group of its own
  local microseconds
  microseconds=$(awk "BEGIN { printf \"%d\", $1 * 100000 }")
  if [ -f "$group/cpu.max" ]; then
    echo "$microseconds 100000" >"$group/cpu.max"
  else
    echo "$microseconds" >"$group/cpu.cfs_quota_us"
  fi
  (echo $BASHPID >"$group/cgroup.procs" && segment quota)
}
# median COMMAND...: seconds
median() {
  local start
  for _ in $(seq "$runs"); do
    start=$EPOCHREALTIME
    "$@"
    awk "BEGIN { print $EPOCHREALTIME - $start }"
  done | sort -n | awk '{ times[NR] = $1 } END { print times[int((NR + 1) / 2)] }'
}
show() { printf '%-34s %6.2f s  %5.2f\n' "$1" "$2" "$(awk "BEGIN { print $2 / $alone }")"; }

segment warm
alone=$(median segment alone)
show 'alone' "$alone"
show 'two at once, until both are done' "$(median beside)"
# Version 2, or the processor's controller of version 1.
root=/sys/fs/cgroup
if [ -d $root/cpu ]; then root=$root/cpu; else echo +cpu 2>/dev/null >$root/cgroup.subtree_control || true; fi
if [ "$(id -u)" = 0 ] && mkdir "$root/maskrcnn-bench.$$"; then
  group=$root/maskrcnn-bench.$$
  for quota in 0.5 1 2; do show "with $quota of a core" "$(median within "$quota")"; done
else
  echo 'quotas cannot be set here: that needs root and control groups'
fi
