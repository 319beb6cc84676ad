# Fragmented IPv4 and IPv6 at MTU 1500: pings, and datagrams of 5000 bytes from l4Ports that rules tell apart.
pair
record fragments.pcapng
for address in $VM4 $VM6; do in_ns $NET ping -q -n -c 2 -i 0.2 -s 4000 $address >>"$work/ping.log"; done
head -c 5000 /dev/zero | tr '\0' 'm' >"$work/media"
{
  printf 'NOTIFY sip:caller@%s SIP/2.0\r\nContent-Type: text/plain\r\nContent-Length: 4900\r\n\r\n' $NET4
  head -c 4900 /dev/zero | tr '\0' 's'
} >"$work/sip"
# datagram FILE FAMILY L4PORT ADDRESS
datagram() { in_ns $VM socat -u -b 8192 "OPEN:$1" "UDP$2-DATAGRAM:$4,bind=:$3"; }
background $NET sink4 socat -u UDP4-RECV:20002 OPEN:/dev/null
background $NET sink6 socat -u UDP6-RECV:20002,ipv6only=1 OPEN:/dev/null
background $NET sip4 socat -u UDP4-RECV:5060 OPEN:/dev/null
sleep 0.3
for _ in 1 2; do
  datagram "$work/media" 4 20000 $NET4:20002
  datagram "$work/media" 6 20000 "[$NET6]:20002"
done
datagram "$work/sip" 4 5060 $NET4:5060
stop_recording
