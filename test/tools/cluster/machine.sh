#!/usr/bin/env bash
# machine.sh FOLDER NAME : process 1 of a machine, in namespaces of its own. It gives the machine what a real one has to itself, says its
# own process id as seen from outside, and waits for the end of its standard input. When it ends, the kernel ends all else in here.
set -euo pipefail
folder=$1 name=$2
# /proc is still the one outside.
read -r pid _ </proc/self/stat
# Nothing mounted in here is seen outside; within, kubelet expects that containers see what is mounted later.
mount --make-rshared /
mount -t proc proc /proc
hostname "$name"

# Places that programs do not let one choose. The rest of the file system is that outside.
mount -t tmpfs tmpfs /run
mkdir -p "$folder"/{log,lib/upper,lib/work}
mount --bind "$folder/log" /var/log
mount -t overlay -o "lowerdir=/var/lib,upperdir=$folder/lib/upper,workdir=$folder/lib/work" overlay /var/lib

# kubelet wants these so, for all that share the kernel: it finds them so, and they stay as they are.
mkdir -p "$folder/sysctl"
while IFS== read -r key value; do
  echo "$value" >"$folder/sysctl/${key//\//.}"
  mount --bind "$folder/sysctl/${key//\//.}" "/proc/sys/$key"
done <<KEYS
vm/overcommit_memory=1
vm/panic_on_oom=0
kernel/panic=10
kernel/panic_on_oops=1
kernel/keys/root_maxkeys=1000000
kernel/keys/root_maxbytes=25000000
KEYS

# These are of the network namespace. Without the second, a pod does not reach one of its own node by the address of a service.
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi

echo "$pid"
read -r _ || true
