# Bounded TCP both ways and UDP from the VM, which is iperf3's server at a port of the media range: the same port number
# held as TCP and passed as UDP. Nanosecond times.
QUIET6=1
pair
background $VM server iperf3 --server --bind $VM4 --port 20000
until_true 5 listens $VM 20000
record iperf3.pcap --time-stamp-precision=nano
for options in '-l 8K -n 64K' '-l 8K -n 64K --reverse' '--udp -l 1200 -b 2M -n 36K --reverse'; do
  # shellcheck disable=SC2086 # a list of words
  in_ns $NET iperf3 --client $VM4 --port 20000 $options >>"$work/iperf3-client.log" 2>&1
  sleep 0.2
done
stop_recording
