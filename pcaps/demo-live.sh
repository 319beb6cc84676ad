#!/usr/bin/env bash
# The gateway live: a VM (a namespace that plays one), a bridge with two hosts, and in between the gateway with its host. Needs
# root; makes its namespaces and removes them.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=holdfast-demo-$$
folder=$(mktemp -d)
export HOLDFAST_CONTROL=$folder/control
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for name in vm host alice bob; do ip netns del "$tag-$name" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap finish EXIT
in_netns() { # in the namespace of that name
  local name=$1
  shift
  exec ip netns exec "$tag-$name" "$@"
}
elapsed_ms() { echo $(($(date +%s%3N) - DEMO_BEGIN)); }
seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
say() { printf '%5.1f s  %s\n' "$(seconds "$(elapsed_ms)")" "$*"; }
holdfast() {
  say "host   \$ holdfast $*"
  node dist/gateway/cli/main.js "$@" | sed 's/^/                /'
}
for name in vm host alice bob; do
  ip netns add "$tag-$name"
  ip -n "$tag-$name" link set lo up
done
plug() { # DEVICE of the host's namespace, and eth0 of another one
  ip -n "$tag-host" link add "$1" type veth peer name eth0 netns "$tag-$2"
  ip -n "$tag-host" link set "$1" up
}
ip -n "$tag-host" link add br0 type bridge
ip -n "$tag-host" link set br0 up
plug tap0 vm
plug to-alice alice
plug to-bob bob
ip -n "$tag-host" link add hf0 type veth peer name hf0-br
for port in to-alice to-bob hf0-br; do ip -n "$tag-host" link set "$port" master br0 up; done
ip -n "$tag-host" link set hf0 up
address=(vm 10.99.0.1 alice 10.99.0.2 bob 10.99.0.3)
for ((i = 0; i < 6; i += 2)); do
  ip -n "$tag-${address[i]}" addr add "${address[i + 1]}/24" dev eth0
  ip -n "$tag-${address[i]}" link set eth0 up
done

cat >"$folder/demo.rules" <<'RULES'
class data    pass
class control hold

outbound {
  udp dport 7000   class data      comment "readings: worth nothing late"
  ether type arp   class data      comment "only in this demo: so that nobody waits for an address"
  default          class control   comment "orders that were accepted, and all else"
}
RULES

echo
echo "vm --- tap0 [ holdfast ] hf0 --- br0 --- alice, bob"
echo
cat "$folder/demo.rules"
echo
DEMO_BEGIN=$(date +%s%3N)
export DEMO_BEGIN
(in_netns host node dist/gateway/cli/main.js run --inside tap0 --outside hf0 --rules "$folder/demo.rules" --log-level error >"$folder/ready") &
pids+=($!)
for _ in $(seq 100); do
  grep -q ready "$folder/ready" 2>/dev/null && break
  sleep 0.1
done
DEMO_BEGIN=$(date +%s%3N)
(in_netns vm node pcaps/demo-peer.mjs vm 10.99.0.2) &
pids+=($!)
mkfifo "$folder/alice" "$folder/bob"
for name in alice bob; do
  (in_netns $name node pcaps/demo-peer.mjs client $name 10.99.0.1 <"$folder/$name") &
  pids+=($!)
done
exec 3>"$folder/alice" 4>"$folder/bob"

say "-- the VM is not replicated: everything flows"
sleep 1.5
echo "order 1" >&3
sleep 1
say "-- a host takes over: from now on, control waits for checkpoints"
holdfast host start --lease 4s
echo "order 2" >&3
sleep 2
say "-- the VM has accepted order 2, and nobody knows: no checkpoint contains it yet"
holdfast host seal
sleep 1
say "-- the checkpoint is on the standby"
holdfast host commit
sleep 1
holdfast host seal
holdfast host commit
say "-- now the host dies; the VM runs on, and accepts order 3"
echo "order 3" >&4
sleep 5.5
say "-- its lease of 4 s is over: readings are held too, and nobody hears of order 3"
holdfast status
say "-- the standby goes on from the last checkpoint: what came after it never happened"
holdfast host rollback --epoch 2
