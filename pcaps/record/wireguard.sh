# A WireGuard tunnel (its protocol: Donenfeld, NDSS 2017): handshake, data both ways, keepalive. The VM is one of the peers; the
# program is wireguard-go, in user space.
QUIET6=1
pair
for ns in $VM $NET; do
  mkdir -p "$work/$ns"
  (umask 077 && wg genkey >"$work/$ns/key")
  daemon $ns $ns-wireguard env WG_PROCESS_FOREGROUND=1 wireguard-go wg0
  until_true 5 test -S "$work/$ns/run/wireguard/wg0.sock"
done
record wireguard.pcap
in_own $VM wg set wg0 listen-port 51820 private-key "$work/$VM/key" \
  peer "$(wg pubkey <"$work/$NET/key")" allowed-ips 198.51.100.1/32
in_own $NET wg set wg0 listen-port 51820 private-key "$work/$NET/key" \
  peer "$(wg pubkey <"$work/$VM/key")" allowed-ips 198.51.100.10/32 endpoint $VM4:51820 persistent-keepalive 3
ip -n $VM address add 198.51.100.10/24 dev wg0
ip -n $NET address add 198.51.100.1/24 dev wg0
ip -n $VM link set wg0 up
ip -n $NET link set wg0 up
in_ns $NET ping -q -n -c 3 -i 0.2 -W 5 198.51.100.10 >>"$work/ping.log"
in_ns $NET ping -q -n -c 2 -i 0.2 -s 1200 198.51.100.10 >>"$work/ping.log"
sleep 4
stop_recording
