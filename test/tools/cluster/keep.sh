#!/usr/bin/env bash
# keep.sh CGROUP... -- COMMAND... : runs COMMAND and, when it has ended, removes the control groups and those below them. It goes on where
# whoever started it has been killed: a COMMAND that ends with its standard input then ends too, and nothing is left behind.
set -uo pipefail
trap '' INT TERM HUP
groups=()
while [ "$1" != -- ]; do groups+=("$1"); shift; done
shift
"$@"
code=$?

# A process that has been killed may not be quite gone, and its group stays as long.
for _ in $(seq 200); do
  left=()
  for group in "${groups[@]}"; do
    # The files in there are the kernel's.
    [ ! -e "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
    [ ! -e "$group" ] || left+=("$group")
  done
  [ ${#left[@]} != 0 ] || exit "$code"
  sleep 0.05
done
echo "these control groups could not be removed: ${left[*]}" >&2
exit 1
