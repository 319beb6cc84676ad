# IGMPv2 and v3, MLDv1 and v2 against a querier (a Linux bridge): general queries, joins, leaves with the specific queries that
# follow. The VM is the member, and hears and sends multicast meanwhile.
namespace $VM
namespace $NET
wire $VM vm0 $VM_MAC $NET net0 $NET_MAC
# The bridge and its one member wear the same MAC
ip -n $NET link add br0 address $NET_MAC type bridge mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 1 \
  mcast_query_interval 200 mcast_query_response_interval 50 mcast_last_member_interval 20 mcast_startup_query_count 1 mcast_igmp_version 3 mcast_mld_version 2
ip -n $NET link set net0 master br0
in_ns $NET sysctl -qw net.ipv6.conf.net0.disable_ipv6=1
ip -n $VM address add $VM4/24 dev vm0
ip -n $VM address add $VM6/64 dev vm0 nodad
ip -n $NET address add $NET4/24 dev br0
ip -n $NET address add $NET6/64 dev br0 nodad
ip -n $NET link set br0 up
sleep 3
record igmp-mld.pcap
GROUP4=233.252.0.1 GROUP6=ff0e::db8:1
# member NAME SECONDS SOCAT_ADDRESS: joins, hears, leaves
member() { background $VM "$1" timeout "$2" socat -u "$3" OPEN:/dev/null; }
# version IGMP MLD: what both sides speak
version() {
  in_ns $VM sysctl -qw net.ipv4.conf.vm0.force_igmp_version="$1" net.ipv6.conf.vm0.force_mld_version="$2"
  ip -n $NET link set br0 type bridge mcast_igmp_version "$1" mcast_mld_version "$2"
}
say() {
  local n
  for n in 1 2 3; do
    echo "media $n" | in_ns "$1" socat -u - "UDP4-DATAGRAM:$GROUP4:20002,ip-multicast-if=$2,bind=$2:20000"
    echo "media $n" | in_ns "$1" socat -u - "UDP6-DATAGRAM:[$GROUP6]:20002,bind=[$3]:20000"
  done
}
for round in '3 2' '2 1'; do # a member that has heard version 2 stays with it for minutes
  # shellcheck disable=SC2086 # two words
  version $round
  member four 3.5 "UDP4-RECV:20002,bind=$GROUP4,ip-add-membership=$GROUP4:vm0"
  member six 3.5 "UDP6-RECV:20002,ipv6only=1,ipv6-join-group=[$GROUP6]:vm0"
  sleep 2.5
  say $NET $NET4 $NET6
  say $VM $VM4 $VM6
  sleep 2.5
done
stop_recording
