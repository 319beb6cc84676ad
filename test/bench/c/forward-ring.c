/*
 * The baseline of the ring port: frames from one device to the other and back, read from TPACKET_V2 rings that the kernel fills and
 * sent with sendmmsg on AF_PACKET, 64 frames a call with virtio headers, and nothing in between.
 *
 *   forward-ring INSIDE OUTSIDE
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, VNET = 10, BUFFER = 32 << 20, FRAME = 2048, BLOCK = 65536, RING = 16 << 20, FRAMES = RING / FRAME };

struct device {
  int fd;
  char *ring;
  unsigned at;
};

static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct device open_device(const char *name) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  int one = 1, version = TPACKET_V2, buffer = BUFFER;
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) fail("PACKET_VNET_HDR");
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) fail("PACKET_IGNORE_OUTGOING");
  if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0) fail("PACKET_VERSION");
  struct tpacket_req request = {
      .tp_block_size = BLOCK, .tp_block_nr = RING / BLOCK, .tp_frame_size = FRAME, .tp_frame_nr = FRAMES};
  if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0) fail("PACKET_RX_RING");
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  char *ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (ring == MAP_FAILED) fail("mmap");
  struct packet_mreq promiscuous = {.mr_ifindex = if_nametoindex(name), .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0) fail("promiscuous");
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(name)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(name);
  return (struct device){fd, ring, 0};
}

static struct tpacket2_hdr *frame_at(struct device *from, unsigned at) {
  return (struct tpacket2_hdr *)(from->ring + at % FRAMES * (unsigned long)FRAME);
}

static int move(struct device *from, struct device *to) {
  int count = 0;
  for (; count < BATCH; count++) {
    struct tpacket2_hdr *frame = frame_at(from, from->at + count);
    if (!(__atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
    vectors[count] = (struct iovec){(char *)frame + frame->tp_mac - VNET, frame->tp_snaplen + VNET};
  }
  for (int sent = 0; sent < count;) {
    int n = sendmmsg(to->fd, messages + sent, count - sent, 0);
    if (n <= 0 && errno != ENOBUFS && errno != EAGAIN) n = 1;
    if (n > 0) sent += n;
  }
  for (int i = 0; i < count; i++) {
    __atomic_store_n(&frame_at(from, from->at++)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct device inside = open_device(argv[1]), outside = open_device(argv[2]);
  for (int i = 0; i < BATCH; i++) {
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  puts("ready");
  fflush(stdout);
  struct pollfd fds[2] = {{inside.fd, POLLIN, 0}, {outside.fd, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents & POLLIN) move(&inside, &outside);
    if (fds[1].revents & POLLIN) move(&outside, &inside);
  }
}
