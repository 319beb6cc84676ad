/*
 * What benchmarks ask of the test guest:
 *
 *   UDP 16400  each datagram goes back as it is (a port of media, see rules/sets/telephony.rules)
 *   TCP 7003   each line is a number: so many steps of a computation, then the result, in a line
 *   TCP 7004   takes whatever comes
 *   TCP 7005   sends without end
 *
 * A process for each connection, so that one at work keeps nobody waiting.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO = 16400, WORK = 7003, SINK = 7004, SOURCE = 7005, CHUNK = 65536, BUFFER = 1 << 20 };

static char chunk[CHUNK];

static int open_port(int type, int port) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  int yes = 1;
  int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || (type == SOCK_STREAM && listen(fd, 16) < 0)) {
    perror("load");
    exit(1);
  }
  return fd;
}

/* Steps of Marsaglia's xorshift64: each needs the one before. */
static unsigned long long compute(unsigned long long steps) {
  unsigned long long x = 88172645463325252ULL;
  while (steps-- > 0) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

static void serve(int fd, int port) {
  int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (port == SINK) while (recv(fd, chunk, CHUNK, 0) > 0);
  if (port == SOURCE) while (send(fd, chunk, CHUNK, MSG_NOSIGNAL) > 0);
  if (port != WORK) return;
  FILE *lines = fdopen(fd, "r+");
  char line[64];
  while (lines && fgets(line, sizeof line, lines)) dprintf(fd, "%llu\n", compute(strtoull(line, NULL, 10)));
}

int main(void) {
  const int ports[] = {WORK, SINK, SOURCE};
  const int buffer = BUFFER;
  struct pollfd polled[4] = {{.fd = open_port(SOCK_DGRAM, ECHO), .events = POLLIN}};
  for (int i = 0; i < 3; i++) polled[i + 1] = (struct pollfd){.fd = open_port(SOCK_STREAM, ports[i]), .events = POLLIN};
  /* What came while the machine was paused comes at once. */
  setsockopt(polled[0].fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  /* Whoever started it knows now that it listens. */
  if (fork() != 0) return 0;
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    poll(polled, 4, -1);
    if (polled[0].revents != 0) {
      struct sockaddr_in6 peer;
      socklen_t size = sizeof peer;
      ssize_t length = recvfrom(polled[0].fd, chunk, CHUNK, 0, (struct sockaddr *)&peer, &size);
      if (length >= 0) sendto(polled[0].fd, chunk, length, 0, (struct sockaddr *)&peer, size);
    }
    for (int i = 1; i < 4; i++) {
      if (polled[i].revents == 0) continue;
      int fd = accept4(polled[i].fd, NULL, NULL, SOCK_CLOEXEC);
      if (fd < 0) continue;
      if (fork() == 0) {
        serve(fd, ports[i - 1]);
        _exit(0);
      }
      close(fd);
    }
  }
}
