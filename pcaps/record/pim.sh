# PIM sparse mode (RFC 7761) with a static rendezvous point, the network's router. The VM is the other router, with a receiver
# and a sender behind it: hello, join and prune for the one, register and register-stop for the other, IGMP queries; and
# multicast that it forwards.
QUIET6=1
legs
RP_GROUP=233.252.0.1 FAR_GROUP=233.252.0.2
for ns in $VM $NET; do
  frr $ns zebra </dev/null
  devices=net0
  [ $ns = $NET ] || devices='vm0 vm1'
  frr $ns pimd < <(
    echo "ip pim rp $NET4 233.252.0.0/24"
    echo 'ip pim join-prune-interval 5'
    for dev in $devices; do printf 'interface %s\n ip pim\n ip pim hello 2 7\n ip igmp\n' $dev; done
  )
done
ip -n $NET route add 198.51.100.0/24 via $VM4
# source_of NS GROUP ADDRESS: with a TTL that survives a router
source_of() {
  local n
  for n in 1 2 3 4 5 6; do
    echo "media $n"
    sleep 0.25
  done | in_ns "$1" socat -u - "UDP4-DATAGRAM:$2:20002,ip-multicast-ttl=8,ip-multicast-if=$3,bind=$3:20000"
}
# member NS DEV GROUP
member() { background "$1" "$1-member" timeout 7 socat -u "UDP4-RECV:20002,bind=$3,ip-add-membership=$3:$2" OPEN:/dev/null; }
record pim.pcapng
neighbours() { tell $VM 'show ip pim neighbor' | grep -q $NET4; }
until_true 20 neighbours
sleep 2
member $FAR far0 $RP_GROUP
member $NET net0 $FAR_GROUP
sleep 3
source_of $NET $RP_GROUP $NET4
source_of $FAR $FAR_GROUP $FAR4
sleep 5
stop_recording
