#!/bin/sh
# The test guest with an application in it that knows its gateway, as its first program (rdinit=/application): each line that comes over
# the console is a request, which it hands to the gateway through the virtio-serial port; the gateway's answer goes to the console.
mount -t devtmpfs dev /dev
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console; do
  insmod /modules/$module.ko
done
(
  # Numbered by what other devices there are.
  until [ -c /dev/vport[0-9]p1 ]; do sleep 0.1; done
  exec 3<>$(echo /dev/vport[0-9]p1)
  echo "application ready"
  while read -r request; do
    # Where no gateway is connected there is nothing to read.
    until echo "$request" >&3 && read -r answer <&3; do sleep 1; done
    echo "answer: $answer"
  done </dev/console
) &
exec /init
