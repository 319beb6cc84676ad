/*
 * The baseline: frames from one device to the other and back with the system calls that the packet port uses (recvmmsg and
 * sendmmsg on AF_PACKET, 64 frames a call, virtio headers, auxdata), and nothing in between.
 *
 *   forward INSIDE OUTSIDE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, SLOT = 65536 + 64, VNET = 10, CONTROL = 64, BUFFER = 32 << 20 };

static char slots[BATCH][SLOT];
static char headers[BATCH][VNET];
static char control[BATCH][CONTROL];
static struct iovec vectors[BATCH][2];
static struct mmsghdr messages[BATCH];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_device(const char *name) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  int one = 1, buffer = BUFFER;
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) fail("PACKET_VNET_HDR");
  if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) < 0) fail("PACKET_AUXDATA");
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) fail("PACKET_IGNORE_OUTGOING");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  struct packet_mreq promiscuous = {.mr_ifindex = if_nametoindex(name), .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0) fail("promiscuous");
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(name)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(name);
  return fd;
}

static int move(int from, int to) {
  for (int i = 0; i < BATCH; i++) {
    vectors[i][1].iov_len = SLOT;
    messages[i].msg_hdr.msg_control = control[i];
    messages[i].msg_hdr.msg_controllen = CONTROL;
  }
  int count = recvmmsg(from, messages, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
  if (count <= 0) return 0;
  for (int i = 0; i < count; i++) {
    vectors[i][1].iov_len = messages[i].msg_len - VNET;
    messages[i].msg_hdr.msg_control = NULL;
    messages[i].msg_hdr.msg_controllen = 0;
  }
  for (int sent = 0; sent < count;) {
    int n = sendmmsg(to, messages + sent, count - sent, 0);
    if (n <= 0 && errno != ENOBUFS && errno != EAGAIN) n = 1;
    if (n > 0) sent += n;
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int inside = open_device(argv[1]), outside = open_device(argv[2]);
  for (int i = 0; i < BATCH; i++) {
    vectors[i][0] = (struct iovec){headers[i], VNET};
    vectors[i][1] = (struct iovec){slots[i], SLOT};
    messages[i].msg_hdr.msg_iov = vectors[i];
    messages[i].msg_hdr.msg_iovlen = 2;
  }
  puts("ready");
  fflush(stdout);
  struct pollfd fds[2] = {{inside, POLLIN, 0}, {outside, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents & POLLIN) move(inside, outside);
    if (fds[1].revents & POLLIN) move(outside, inside);
  }
}
