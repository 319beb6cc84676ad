# BFD (RFC 5880, 5881, 5883): one session over IPv4, one over IPv6, one over several hops. The VM's come up, are shut down by
# its operator and come up again.
pair
for ns in $VM $NET; do frr $ns zebra </dev/null; done
record bfd.pcap
# peers OWN4 OTHER4 OWN6 OTHER6
peers() {
  cat <<CONF
bfd
 peer $2 local-address $1
  transmit-interval 300
  receive-interval 300
 peer $4 local-address $3
  transmit-interval 300
  receive-interval 300
 peer $2 multihop local-address $1
  transmit-interval 300
  receive-interval 300
CONF
}
frr $NET bfdd < <(peers $NET4 $VM4 $NET6 $VM6)
frr $VM bfdd < <(peers $VM4 $NET4 $VM6 $NET6)
all_up() { [ "$(tell $VM 'show bfd peers' | grep -c 'Status: up')" = 3 ]; }
until_true 20 all_up
sleep 2
tell $VM 'configure terminal' bfd "peer $NET4 local-address $VM4" shutdown
sleep 2
tell $VM 'configure terminal' bfd "peer $NET4 local-address $VM4" 'no shutdown'
until_true 20 all_up
sleep 1
stop_recording
