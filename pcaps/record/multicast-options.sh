# IGMPv3 and MLDv2 joins and leaves by the kernel, and UDP with IPv6 extension headers that the kernel builds from
# socket options (RFC 3542): hop-by-hop, destination options, routing header, all three before a fragment header.
pair
background $NET sink socat -u UDP6-RECV:20002,ipv6only=1 OPEN:/dev/null
until_true 5 listens $NET 20002
record multicast-options.pcap
in_ns $VM python3 - $VM4 $VM6 $NET6 <<'PY'
import socket, struct, sys, time
vm4, vm6, net6 = sys.argv[1:]
index = socket.if_nametoindex('vm0')

# Joins, some multicast, leaves
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
member4 = socket.inet_aton('233.252.0.1') + struct.pack('=4si', socket.inet_aton(vm4), index)
four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member4)
four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(vm4))
four.bind((vm4, 20000))
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
member6 = socket.inet_pton(socket.AF_INET6, 'ff0e::db8:1') + struct.pack('=i', index)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member6)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
six.bind((vm6, 20000))
time.sleep(1.5)
for n in range(3):
    four.sendto(b'media %d' % n * 20, ('233.252.0.1', 20002))
    six.sendto(b'media %d' % n * 20, ('ff0e::db8:1', 20002))
four.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, member4)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, member6)
time.sleep(1.5)
four.close()
six.close()

# PadN to fill 8 bytes each: next header and length are the kernel's to fill
IPV6_HOPOPTS, IPV6_RTHDR, IPV6_DSTOPTS = 54, 57, 59
options = bytes([0, 0, 1, 4, 0, 0, 0, 0])
# Type 4, a segment list of the destination alone (RFC 8754 section 2); type 0 is gone (RFC 5095)
routing = struct.pack('!BBBBBBH', 0, 2, 4, 0, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, net6)
for length in (100, 3000):
    for chain in ((IPV6_HOPOPTS,), (IPV6_DSTOPTS,), (IPV6_HOPOPTS, IPV6_DSTOPTS), (IPV6_HOPOPTS, IPV6_RTHDR, IPV6_DSTOPTS)):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            for option in chain:
                sender.setsockopt(socket.IPPROTO_IPV6, option, routing if option == IPV6_RTHDR else options)
            sender.bind((vm6, 20000))
            sender.sendto(b'm' * length, (net6, 20002))
            time.sleep(0.05)
PY
stop_recording
