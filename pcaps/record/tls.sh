# One TLS 1.3 exchange. The VM is the server; its key lives as long as this recording.
QUIET6=1
pair
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=vm.example \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/req.log"
background $VM s_server openssl s_server -quiet -accept $VM4:443 -tls1_3 -www -key "$work/key.pem" -cert "$work/cert.pem"
until_true 5 listens $VM 443
record tls.pcap
in_ns $NET curl -sS -o /dev/null --insecure --tlsv1.3 https://$VM4/
stop_recording
