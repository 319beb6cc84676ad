/*
 * echo ADDRESS PORT COUNT PER_SECOND: sends so many datagrams that look like sound (RTP, RFC 3550, with 20 ms of G.711) to a port that
 * sends them back, each on time whether or not those before have come back, and prints how long each took, in ns; 0: it never came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { LOCAL = 16402, HEADER = 12, BYTES = HEADER + 160, MOST = 60000, BUFFER = 8 << 20 };
static const int64_t SECOND = 1000000000, LAST_WAIT = 2000000000;

static int64_t sent[MOST], took[MOST];

static int64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * SECOND + at.tv_nsec;
}

int main(int words, char **word) {
  if (words != 5) return 2;
  int count = atoi(word[3]), rate = atoi(word[4]), next = 0, back = 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(word[2]))};
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(LOCAL)};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), buffer = BUFFER;
  /* What was held comes at once. */
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  if (count < 1 || count > MOST || rate < 1 || inet_pton(AF_INET, word[1], &to.sin_addr) != 1) return 2;
  if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
    perror("echo");
    return 1;
  }
  for (int64_t began = now(), end = began + SECOND * count / rate + LAST_WAIT; back < count;) {
    int64_t at = now(), due = next < count ? began + SECOND * next / rate : end;
    if (at >= end) break;
    if (at >= due) {
      uint8_t out[BYTES] = {0x80, 0, next >> 8, next & 0xff};
      uint32_t time = htonl(next * 160u);
      memcpy(out + 4, &time, 4);
      memcpy(out + 8, "hold", 4);
      sent[next++] = now();
      if (send(fd, out, BYTES, 0) < 0) sent[next - 1] = 0;
      continue;
    }
    struct timespec wait = {(due - at) / SECOND, (due - at) % SECOND};
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    ppoll(&polled, 1, &wait, NULL);
    uint8_t in[BYTES];
    while (recv(fd, in, BYTES, 0) == BYTES) {
      int number = in[2] << 8 | in[3];
      if (number >= next || took[number] != 0) continue;
      took[number] = now() - sent[number];
      back++;
    }
  }
  for (int i = 0; i < count; i++) printf("%lld\n", (long long)took[i]);
}
