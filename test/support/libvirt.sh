# Sourced by a shell in a network and mount namespace of its own: libvirt's daemon, with folders of the system that nobody else sees,
# and a bridge `br0` on which this host is 10.77.0.2. What `start` started ends with the shell, and guests too, whose QMP sockets are
# QMP. Wants LOGS, a folder, GUEST_IP and GUEST_MAC, and BOOT, files of the guest that are in /run/boot then.
set -eu
export LIBVIRT_DEFAULT_URI=qemu:///system
running=

end() {
  for pid in $running; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
  done
  # A QMP socket has one client at a time, so now.
  for socket in $QMP; do
    [ ! -S "$socket" ] || echo '{"execute":"qmp_capabilities"}{"execute":"quit"}' | socat -t 5 - "unix:$socket" > "$LOGS/quit" || true
  done
}
trap end EXIT

# start NAME COMMAND...: in the background, its process in $NAME and its output in LOGS/NAME
start() {
  local name=$1
  shift
  "$@" > "$LOGS/$name" 2>&1 &
  eval "$name=$!"
  running="$! $running"
}

# wait_for COMMAND...: until it succeeds
wait_for() {
  local end=$(($(date +%s) + 60))
  until "$@" > /dev/null 2>&1; do
    if [ "$(date +%s)" -ge "$end" ]; then
      echo "waited 60000 ms for $*" >&2
      tail -n 10 "$LOGS"/* >&2
      exit 1
    fi
    sleep 0.1
  done
}

# Also a protected guest on a busy machine, whose answer waits for its checkpoint.
answers() {
  ping -q -c 1 -W 20 "$GUEST_IP"
}

# says NAME TEXT [TIMES]: what `start` started has printed lines with it
says() {
  [ "$(grep -c -e "$2" "$LOGS/$1")" -ge "${3:-1}" ]
}

mount -t tmpfs tmpfs /run
mkdir -p /run/holdfast /run/etc /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
for folder in /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do mount -t tmpfs tmpfs "$folder"; done
mount -t tmpfs tmpfs /dev/shm
mkdir -p /var/lib/libvirt/qemu /etc/libvirt/hooks
# What the guest boots from is where its user can read it.
mkdir -m 755 /run/boot
cp $BOOT /run/boot
grep -q ^libvirt-qemu: /etc/passwd || echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin >> /etc/passwd
grep -q ^libvirt-qemu: /etc/group || echo libvirt-qemu:x:64055: >> /etc/group
# No systemd, no control groups. Guests of libvirt's own user were seen to be protected as well; with it the daemon takes a minute here for
# each look at QEMU, so image-relay.test.ts has a machine of another user.
cat > /etc/libvirt/qemu.conf <<'END'
user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
END
echo 'auth_unix_rw = "none"' > /etc/libvirt/libvirtd.conf
ip link add br0 type bridge
ip link set br0 up
ip addr add 10.77.0.2/24 dev br0
ip neigh add "$GUEST_IP" lladdr "$GUEST_MAC" nud permanent dev br0

# Hooks are looked for when it starts.
start_libvirt() {
  start libvirtd libvirtd
  wait_for virsh version
}
