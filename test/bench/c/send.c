/*
 * Sends frames of one length as fast as it can, or so many a second, straight to the driver.
 *
 *   send DEVICE BYTES SECONDS FRAMES-PER-SECOND(0: no limit) PORT
 *
 * IPv4 and UDP from 10.77.0.1:6000 to 10.77.0.2:PORT, to a MAC address that nobody has, so that whoever gets them does nothing
 * with them. Prints how many were sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void put16(unsigned char *at, unsigned value) {
  at[0] = value >> 8;
  at[1] = value;
}

/* Ethernet, IPv4 with its checksum, UDP without one. */
static void fill(unsigned char *frame, int length, int port) {
  static const unsigned char start[] = {2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 8, 0, 0x45, 0, 0, 0,
                                        0, 0, 0x40, 0, 64, 17, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2, 0x17, 0x70};
  memcpy(frame, start, sizeof start);
  put16(frame + 16, length - 14);
  put16(frame + 36, port);
  put16(frame + 38, length - 34);
  unsigned sum = 0;
  for (int i = 14; i < 34; i += 2) sum += frame[i] << 8 | frame[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  put16(frame + 24, ~sum & 0xffff);
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  int length = atoi(argv[2]), one = 1;
  double seconds = atof(argv[3]), rate = atof(argv[4]);
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(argv[1])};
  if (bind(fd, (struct sockaddr *)&to, sizeof to) < 0) return perror(argv[1]), 1;
  static unsigned char frame[65536];
  fill(frame, length, atoi(argv[5]));
  struct iovec vector = {frame, length};
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < BATCH; i++) messages[i].msg_hdr.msg_iov = &vector, messages[i].msg_hdr.msg_iovlen = 1;
  double begin = now(), end = begin + seconds;
  uint64_t sent = 0;
  for (double t = begin; t < end; t = now()) {
    int count = BATCH;
    if (rate > 0) {
      double due = (t - begin) * rate - sent;
      if (due < 1) {
        struct timespec nap = {0, 50000};
        nanosleep(&nap, NULL);
        continue;
      }
      if (due < count) count = due;
    }
    int n = sendmmsg(fd, messages, count, 0);
    if (n > 0) sent += n;
  }
  printf("%llu\n", (unsigned long long)sent);
  return 0;
}
