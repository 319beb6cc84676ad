/*
 * One-way delay from a device in one network namespace to a device in another, both in this process's hand.
 *
 *   latency NETNS-A DEVICE-A NETNS-B DEVICE-B FRAMES FRAMES-PER-SECOND PORT [awake]    awake: never sleeps
 *
 * Sends UDP frames of 64 bytes to PORT on time, whether or not those before have come: who is kept waiting is not spared the
 * next one. Frames to other ports never get into the receiver's queue: to take them would be this process's time, and those that
 * are measured would wait meanwhile. Prints each frame's delay in nanoseconds, one a line; 0 for one that never came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* For frames that are still under way when the last one was sent. */
enum { PATIENCE = 500000000 };

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_in(const char *netns, const char *device) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", netns);
  int ns = open(path, O_RDONLY);
  if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) return perror(netns), exit(1), -1;
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  struct sockaddr_ll at = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(device)};
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return perror(device), exit(1), -1;
  return fd;
}

/* Only frames whose UDP destination port, where no options stand in front of it, is this one. */
static void hear_only(int fd, int port) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) perror("filter"), exit(1);
}

int main(int argc, char **argv) {
  if (argc != 8 && (argc != 9 || strcmp(argv[8], "awake") != 0)) return 2;
  int a = open_in(argv[1], argv[2]), b = open_in(argv[3], argv[4]);
  long frames = atol(argv[5]), gap = 1000000000L / atol(argv[6]);
  int port = atoi(argv[7]);
  hear_only(b, port);
  unsigned char frame[64] = {2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 8, 0, 0x45, 0, 0, 50,
                             0, 0, 0x40, 0, 64, 17, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2, 0x17, 0x70, port >> 8, port, 0, 30};
  unsigned sum = 0;
  for (int i = 14; i < 34; i += 2) sum += frame[i] << 8 | frame[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  frame[24] = ~sum >> 8, frame[25] = ~sum;
  prctl(PR_SET_TIMERSLACK, 1);
  int64_t *sent_at = calloc(frames, sizeof *sent_at), *delays = calloc(frames, sizeof *delays);
  int64_t begin = now() + gap, end = begin + frames * gap + PATIENCE;
  uint32_t sent = 0, came = 0;
  while (came < frames && now() < end) {
    int64_t due = sent < frames ? begin + sent * gap : end, left = due - now();
    if (left <= 0 && sent < frames) {
      memcpy(frame + 42, &sent, 4);
      sent_at[sent++] = now();
      if (send(a, frame, sizeof frame, 0) < 0) return perror("send"), 1;
      continue;
    }
    struct pollfd fd = {b, POLLIN, 0};
    if (argc == 9) left = 0;
    struct timespec nap = {left / 1000000000, left % 1000000000};
    if (left < 0 || ppoll(&fd, 1, &nap, NULL) <= 0) continue;
    unsigned char got[2048];
    uint32_t serial;
    int length = recv(b, got, sizeof got, 0);
    if (length < 46 || memcmp(got + 36, frame + 36, 2) != 0) continue;
    memcpy(&serial, got + 42, 4);
    if (serial >= sent || delays[serial] != 0) continue;
    delays[serial] = now() - sent_at[serial];
    came++;
  }
  for (long n = 0; n < frames; n++) printf("%lld\n", (long long)delays[n]);
  return 0;
}
