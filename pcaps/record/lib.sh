# Two namespaces and a cable between them, and a recorder at the network's end of it. Sourced by every recording.
#
#   hf-rec-vm  vm0 ───── net0  hf-rec-net
#   192.0.2.10                 192.0.2.1      52:54:00:00:02:10 / 02:00:00:00:02:01
#   2001:db8:2::10             2001:db8:2::1

VM=hf-rec-vm NET=hf-rec-net FAR=hf-rec-far
VM4=192.0.2.10 NET4=192.0.2.1 FAR4=198.51.100.9
VM6=2001:db8:2::10 NET6=2001:db8:2::1 FAR6=2001:db8:3::9
VM_MAC=52:54:00:00:02:10 NET_MAC=02:00:00:00:02:01 FAR_MAC=02:00:00:00:02:03

work=$(mktemp -d /tmp/hf-rec.XXXXXX)
namespaces=()
pids=()
recorder=
recorded=

clean_up() {
  local status=$?
  set +e
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
  local name
  for name in "${namespaces[@]}"; do ip netns delete "$name"; done
  [ $status = 0 ] || tail -n 20 "$work"/*.log >&2
  rm -rf "$work"
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# namespace NAME: a quiet one, whose kernel says nothing unasked
namespace() {
  ip netns add "$1"
  namespaces+=("$1")
  ip -n "$1" link set lo up
  in_ns "$1" sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0 \
    net.ipv6.conf.default.disable_ipv6="${QUIET6:-0}"
}

in_ns() {
  local name=$1
  shift
  ip netns exec "$name" "$@"
}

# offloads_off NS DEV: frames of a wire, with whole checksums and no super-frames; one by one, since a refusal stops a list
offloads_off() {
  local feature
  for feature in tx rx sg tso gso gro rxvlan txvlan; do
    in_ns "$1" ethtool -K "$2" "$feature" off >>"$work/ethtool.log" 2>&1 || true
  done
}

# wire NS DEV MAC NS DEV MAC: a veth pair
wire() {
  ip link add name "$2" netns "$1" address "$3" type veth peer name "$5" netns "$4" address "$6"
  if [ -z "${KEEP_OFFLOADS:-}" ]; then
    offloads_off "$1" "$2"
    offloads_off "$4" "$5"
  fi
  ip -n "$1" link set "$2" up
  ip -n "$4" link set "$5" up
}

# addresses: of the plain pair. The kernels' own joins and tentative addresses are over when the recorder starts.
addresses() {
  ip -n $VM address add $VM4/24 dev vm0
  ip -n $NET address add $NET4/24 dev net0
  if [ -z "${QUIET6:-}" ]; then
    ip -n $VM address add $VM6/64 dev vm0 nodad
    ip -n $NET address add $NET6/64 dev net0 nodad
    sleep 3
  fi
}

# pair: the topology of most recordings
pair() {
  namespace $VM
  namespace $NET
  wire $VM vm0 $VM_MAC $NET net0 $NET_MAC
  addresses
}

# background NS NAME COMMAND...: a program that the exit trap ends
background() {
  local name=$1 log=$work/$2.log
  shift 2
  ip netns exec "$name" "$@" >"$log" 2>&1 </dev/null &
  pids+=($!)
}

# in_own NS COMMAND...: with /run and /var/tmp of the namespace's own, so that daemons find each other and not the machine's
in_own() {
  own_folders "$1"
  in_ns "$1" "${own[@]}" "${@:2}"
}

# daemon NS NAME COMMAND...: `background`, the same way
daemon() {
  own_folders "$1"
  background "$1" "$2" "${own[@]}" "${@:3}"
}

own_folders() {
  mkdir -p "$work/$1/run/frr" "$work/$1/tmp"
  chmod 777 "$work/$1/run/frr" "$work/$1/tmp" # FRR's daemons are not root
  own=(sh -c 'mount --bind "$1/run" /run && mount --bind "$1/tmp" /var/tmp && shift && exec "$@"' sh "$work/$1")
}

# frr NS DAEMON: one of FRR's, with its settings on standard input (no pipe: the exit trap would not know a subshell's process)
frr() {
  own_folders "$1"
  cat >"$work/$1/run/frr/$2.conf"
  daemon "$1" "$1-$2" "/usr/lib/frr/$2" --vty_port 0 --config_file "/run/frr/$2.conf" --log stdout
  until_true 5 test -S "$work/$1/run/frr/$2.vty"
}

# tell NS COMMAND...: what an operator types into FRR's shell
tell() {
  local words=() word
  for word in "${@:2}"; do words+=(-c "$word"); done
  in_own "$1" vtysh "${words[@]}"
}

# legs: the VM routes between the network and a second cable behind it, on which it wears the same MAC
#
#   hf-rec-net net0 ───── vm0 hf-rec-vm vm1 ───── far0 hf-rec-far
#   192.0.2.1            .10            198.51.100.10        .9
#   2001:db8:2::1        ::10        2001:db8:3::10         ::9
legs() {
  pair
  namespace $FAR
  wire $VM vm1 $VM_MAC $FAR far0 $FAR_MAC
  in_ns $VM sysctl -qw net.ipv4.ip_forward=1
  ip -n $VM address add 198.51.100.10/24 dev vm1
  ip -n $FAR address add $FAR4/24 dev far0
  ip -n $FAR route add default via 198.51.100.10
  if [ -z "${QUIET6:-}" ]; then
    in_ns $VM sysctl -qw net.ipv6.conf.all.forwarding=1
    ip -n $VM address add 2001:db8:3::10/64 dev vm1 nodad
    ip -n $FAR address add $FAR6/64 dev far0 nodad
    ip -n $FAR route add default via 2001:db8:3::10
    sleep 3
  fi
}

# until_true SECONDS COMMAND...: polls
until_true() {
  local tries=$(($1 * 20))
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    if [ $tries -le 0 ]; then
      echo "gave up waiting for: $*" >&2
      return 1
    fi
    sleep 0.05
  done
}

listens() { in_ns "$1" ss -Hlntu | grep -q ":$2 "; }

# record FILE [tcpdump or dumpcap options]: by tcpdump, or by dumpcap for a .pcapng; at $RECORD_NS/$RECORD_DEV
record() {
  local file=$traces/$1 ns=${RECORD_NS:-$NET} dev=${RECORD_DEV:-net0}
  shift
  case $file in
  *.pcapng) background "$ns" recorder dumpcap -q -i "$dev" -w "$file" "$@" ;;
  *) background "$ns" recorder tcpdump -i "$dev" --immediate-mode -U -Z root -w "$file" "$@" ;;
  esac
  recorder=${pids[-1]} recorded=$file
  until_true 10 grep -qE 'listening on|^File:' "$work/recorder.log"
  sleep 0.3
}

# stop_recording: after what is still under way has arrived
stop_recording() {
  sleep 0.5
  kill -INT "$recorder"
  wait "$recorder" 2>/dev/null || true
  # dumpcap writes processor and kernel of the recording machine into the file; through pcap and back leaves the packets alone.
  if [[ $recorded == *.pcapng ]]; then
    reordercap "$recorded" "$work/ordered.pcapng" >/dev/null # several interfaces come in turns
    editcap -F nsecpcap "$work/ordered.pcapng" "$work/packets.pcap"
    editcap -F pcapng "$work/packets.pcap" "$recorded"
  fi
  chmod 644 "$recorded"
  grep -hE 'packets (received|dropped|captured)|Packets' "$work/recorder.log" || true
}
