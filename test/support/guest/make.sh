#!/usr/bin/env bash
# Makes the kernel and the file system of the test guest in a folder, once: make.sh FOLDER. The kernel is Debian's for clouds (26 MB,
# fetched with apt-get download and unpacked, not installed); the file system holds busybox, a few modules and the counter with its neighbours.
# Prints what is missing and fails where it cannot.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
fail() { echo "no test guest: $*" >&2; exit 1; }

for program in apt-get dpkg cpio gzip gcc busybox flock; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || fail "$program is not installed"
done
[ "$(uname -m)" = x86_64 ] || fail "it is made for x86_64"
mkdir -p "$folder"
chmod 700 "$folder"
exec 9>"$folder/lock"
flock 9
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

modules="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover virtio_net 8021q garp mrp stp llc virtio_console"
if [ ! -s "$folder/kernel" ] || [ "$(cat "$folder/modules/list" 2>/dev/null)" != "$modules" ]; then
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: //p' | head -n 1)
  [ -n "$package" ] || fail "apt knows no kernel image for clouds"
  (cd "$work" && timeout 240 apt-get download "$package" >download.log 2>&1) || fail "apt-get download $package: $(tail -n 1 "$work/download.log")"
  dpkg -x "$work"/*.deb "$work/package"
  mkdir -p "$work/modules"
  for module in $modules; do
    find "$work/package" \( -name "$module.ko" -o -name "$module.ko.xz" \) -exec cp {} "$work/modules/" \;
  done
  find "$work/modules" -name '*.xz' -exec xz -d {} +
  [ -s "$work/modules/virtio_net.ko" ] || fail "$package has no module virtio_net"
  echo "$modules" >"$work/modules/list"
  rm -rf "$folder/modules"
  mv "$work/modules" "$folder/modules"
  mv "$work"/package/boot/vmlinuz-* "$folder/kernel"
fi

root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,modules}
for program in counter recorder sip load; do
  gcc -O2 -static -o "$root/$program" "$here/$program.c" 2>"$work/gcc.log" || fail "gcc: $(head -n 1 "$work/gcc.log")"
done
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in sh mount insmod ip cat echo sleep; do ln -s busybox "$root/bin/$applet"; done
cp "$folder"/modules/*.ko "$root/modules/"
cp "$here/init.sh" "$root/init"
cp "$here/application.sh" "$root/application"
chmod 755 "$root/init" "$root/application" "$root/counter" "$root/recorder" "$root/sip" "$root/load"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/files"
mv "$work/files" "$folder/files-$(cat "$here"/counter.c "$here"/recorder.c "$here"/sip.c "$here"/load.c "$here"/init.sh "$here"/application.sh "$here"/make.sh | sha256sum | cut -c1-16)"
