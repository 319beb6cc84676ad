/*
 * What runs in the test guest: one number, in memory only, that grows by one with every request, whatever protocol it comes by. Whoever
 * talks to it can tell at once when the guest has gone back in time.
 *
 *   TCP 7000  each line is a request; the answer is the number, in a line
 *   UDP 7001  each datagram is a request; the answer is the number, a blank, and the datagram
 *   TCP 8080  HTTP/1.1 with keep-alive; the answer's body is the number, in a line
 *
 * One thread, no threads' races: the number is the order of the requests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINES = 7000, DATAGRAMS = 7001, HTTP = 8080, MAX_FD = 1024 };

static unsigned long long number;
/* By descriptor. */
static int kind[MAX_FD];
static int blank_line[MAX_FD];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int open_port(int type, int port) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  int yes = 1, no = 0;
  int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0) die("bind");
  if (type == SOCK_STREAM && listen(fd, 64) < 0) die("listen");
  return fd;
}

static void watch(int poll, int fd, int what) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (fd >= MAX_FD) die("too many connections");
  kind[fd] = what;
  if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void answer_datagram(int fd) {
  char in[2048], out[2100];
  struct sockaddr_in6 peer;
  socklen_t size = sizeof peer;
  ssize_t length = recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&peer, &size);
  if (length < 0) return;
  int head = sprintf(out, "%llu ", ++number);
  memcpy(out + head, in, length);
  sendto(fd, out, head + length, 0, (struct sockaddr *)&peer, size);
}

/* Blocks until the peer has taken it: whoever does not read its answers stops the guest, which no test does. */
static int send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0) return -1;
    bytes += sent;
    length -= sent;
  }
  return 0;
}

static int answer_stream(int fd) {
  static char in[4096], out[sizeof in * 32];
  ssize_t length = recv(fd, in, sizeof in, 0);
  if (length <= 0) return -1;
  size_t used = 0;
  for (ssize_t i = 0; i < length; i++) {
    if (kind[fd] == LINES) {
      if (in[i] == '\n') used += sprintf(out + used, "%llu\n", ++number);
      continue;
    }
    /* A request ends with an empty line: four of CR LF CR LF; it has no body. */
    if (in[i] == '\n') blank_line[fd]++;
    else if (in[i] != '\r') blank_line[fd] = 0;
    if (blank_line[fd] < 2) continue;
    blank_line[fd] = 0;
    char body[32];
    int size = sprintf(body, "%llu\n", ++number);
    used += sprintf(out + used, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body);
  }
  return used == 0 ? 0 : send_all(fd, out, used);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  int poll = epoll_create1(0);
  watch(poll, open_port(SOCK_STREAM, LINES), LINES);
  watch(poll, open_port(SOCK_STREAM, HTTP), HTTP);
  watch(poll, open_port(SOCK_DGRAM, DATAGRAMS), DATAGRAMS);
  int listeners = 0;
  for (int fd = 0; fd < MAX_FD; fd++) if (kind[fd]) listeners = fd + 1;
  puts("counter ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[32];
    int count = epoll_wait(poll, events, 32, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (kind[fd] == DATAGRAMS) {
        answer_datagram(fd);
      } else if (fd < listeners) {
        int yes = 1;
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0) continue;
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        blank_line[peer < MAX_FD ? peer : 0] = 0;
        watch(poll, peer, kind[fd]);
      } else if (answer_stream(fd) < 0) {
        close(fd);
      }
    }
  }
}
