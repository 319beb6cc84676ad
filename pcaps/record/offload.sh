# The same transfer with offloads left on: super-frames longer than the MTU and unfinished checksums, in both directions.
QUIET6=1 KEEP_OFFLOADS=1
pair
background $VM server iperf3 --server --bind $VM4
until_true 5 listens $VM 5201
record offload.pcap
in_ns $NET iperf3 --client $VM4 -l 32K -n 96K --reverse >>"$work/iperf3-client.log" 2>&1
sleep 0.2
in_ns $NET iperf3 --client $VM4 -l 32K -n 64K >>"$work/iperf3-client.log" 2>&1
stop_recording
gzip -9nf "$traces/offload.pcap"
