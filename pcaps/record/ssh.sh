# One SSH command with a key made for this recording. The VM is the server.
QUIET6=1
pair
ssh-keygen -q -t ed25519 -N '' -C recording -f "$work/host"
ssh-keygen -q -t ed25519 -N '' -C recording -f "$work/user"
cat >"$work/sshd_config" <<CONF
ListenAddress $VM4
HostKey $work/host
AuthorizedKeysFile $work/user.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PidFile none
CONF
# sshd wants /run/sshd; a tmpfs over /run in its own mount namespace leaves the machine's alone
background $VM sshd sh -c 'mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f "$1"' sh "$work/sshd_config"
until_true 5 listens $VM 22
record ssh.pcapng
in_ns $NET ssh -F /dev/null -i "$work/user" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
  root@$VM4 'seq 1 200' >"$work/ssh.log" 2>&1
stop_recording
