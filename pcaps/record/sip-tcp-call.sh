# The signalling of a call over TCP, no media: sipp on both sides. The VM is the callee.
QUIET6=1
pair
background $VM uas sipp -sn uas -i $VM4 -p 5060 -t t1 -m 1 -nostdin
until_true 5 listens $VM 5060
record sip-tcp-call.pcapng
in_ns $NET sipp -sn uac -i $NET4 -p 5060 -t t1 -m 1 -d 1500 -nostdin $VM4:5060 >"$work/uac.log" 2>&1
stop_recording
