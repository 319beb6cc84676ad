# OSPFv2 (RFC 2328) and OSPFv3 (RFC 5340) on one cable: hello, election, database description, link state request, update and
# acknowledgement; then a route that comes and goes. The VM is one of the routers and forwards between its words.
legs
for ns in $VM $NET; do frr $ns zebra </dev/null; done
record ospf.pcapng
for ns in $NET $VM; do
  dev=net0 id=$NET4 networks='network 192.0.2.0/24 area 0' interfaces='interface net0'
  [ $ns = $NET ] || dev=vm0 id=$VM4 networks='network 0.0.0.0/0 area 0'
  frr $ns ospfd <<CONF
interface $dev
 ip ospf hello-interval 2
 ip ospf dead-interval 4
router ospf
 ospf router-id $id
 redistribute static
 $networks
CONF
  frr $ns ospf6d <<CONF
interface $dev
 ipv6 ospf6 hello-interval 2
 ipv6 ospf6 dead-interval 4
 ipv6 ospf6 area 0
$([ $ns = $NET ] || printf 'interface vm1\n ipv6 ospf6 area 0\n ipv6 ospf6 passive\n')
router ospf6
 ospf6 router-id $id
 redistribute static
CONF
done
learnt() { in_ns $NET ip route get $FAR4 | grep -q "via $VM4" && in_ns $NET ip -6 route get $FAR6 | grep -q via; }
until_true 30 learnt
frr $VM staticd </dev/null
tell $VM 'configure terminal' 'ip route 203.0.113.0/24 Null0' 'ipv6 route 2001:db8:8000::/33 Null0'
in_ns $NET ping -q -n -c 3 -i 0.2 $FAR4 >>"$work/ping.log"
in_ns $NET ping -q -n -c 3 -i 0.2 $FAR6 >>"$work/ping.log"
sleep 3
tell $VM 'configure terminal' 'no ip route 203.0.113.0/24 Null0' 'no ipv6 route 2001:db8:8000::/33 Null0'
sleep 4
stop_recording
