/*
 * A log on the guest's disk, /dev/vda, that grows by one record a request, and that memory knows too; the same on /dev/vdb, where
 * there is one. TCP 7002, in lines:
 *
 *   w WORD   writes a record with the word behind the last one, and answers NUMBER WORD when every disk says that it is durable
 *   c        reads the disks, past every cache, and answers MEMORY WRONG AHEAD: how many records memory knows; the first one that
 *            a disk does not have as memory does, or 0; how many records the disks have, or had when the next one was to be written,
 *            behind the last one that memory knew
 *
 * One thread: an answer to c comes when no write is under way.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7002, SECTOR = 512, MOST = 32000, WORD = 32, PEERS = 8, AHEAD = 256, LINE = 64, DISKS = 2 };

static char words[MOST + 1][WORD];
static int count;
/* Records that stood where the next one was to be written. */
static int surprises;
static int disks[DISKS];
static int disk_count;
static char *sector;

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* What sector `number` holds; sector 0 stays empty. */
static void record(char *into, int number, const char *word) {
  memset(into, 0, SECTOR);
  snprintf(into, SECTOR, "record %d %s\n", number, word);
}

static int write_record(const char *word) {
  if (count == MOST) return -1;
  for (int i = 0; i < disk_count; i++) {
    if (pread(disks[i], sector, SECTOR, (off_t)(count + 1) * SECTOR) != SECTOR) return -1;
    surprises += sector[0] != 0;
    record(sector, count + 1, word);
    if (pwrite(disks[i], sector, SECTOR, (off_t)(count + 1) * SECTOR) != SECTOR) return -1;
  }
  count++;
  snprintf(words[count], WORD, "%s", word);
  return count;
}

static void check_disk(int disk, int *wrong, int *ahead) {
  char wanted[SECTOR];
  for (int number = 1; number <= count + AHEAD && number <= MOST; number++) {
    if (pread(disk, sector, SECTOR, (off_t)number * SECTOR) != SECTOR) die("pread");
    if (number > count) {
      *ahead += sector[0] != 0;
      continue;
    }
    record(wanted, number, words[number]);
    if (*wrong == 0 && memcmp(wanted, sector, SECTOR) != 0) *wrong = number;
  }
}

static void check(char *answer) {
  int wrong = 0, ahead = 0;
  for (int i = 0; i < disk_count; i++) check_disk(disks[i], &wrong, &ahead);
  sprintf(answer, "%d %d %d\n", count, wrong, ahead + surprises);
}

static void serve(int fd, char *line) {
  char answer[LINE + WORD];
  if (line[0] == 'c') check(answer);
  else sprintf(answer, "%d %.*s\n", write_record(line + 2), WORD - 1, line + 2);
  send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

/* What came of a line that has not ended. */
static char parts[PEERS + 1][LINE];
static int lengths[PEERS + 1];

static int receive(int fd, int peer) {
  char in[4096];
  ssize_t length = recv(fd, in, sizeof in, 0);
  if (length <= 0) return -1;
  for (ssize_t i = 0; i < length; i++) {
    if (in[i] != '\n') {
      if (lengths[peer] < LINE - 1) parts[peer][lengths[peer]++] = in[i];
      continue;
    }
    parts[peer][lengths[peer]] = 0;
    lengths[peer] = 0;
    serve(fd, parts[peer]);
  }
  return 0;
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  for (; disk_count < DISKS; disk_count++) {
    char path[] = {'/', 'd', 'e', 'v', '/', 'v', 'd', (char)('a' + disk_count), 0};
    disks[disk_count] = open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    if (disks[disk_count] < 0) break;
  }
  if (disk_count == 0) die("/dev/vda");
  if (posix_memalign((void **)&sector, 4096, 4096) != 0) die("memory");
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
  int yes = 1;
  struct pollfd polled[PEERS + 1] = {{.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), .events = POLLIN}};
  setsockopt(polled[0].fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(polled[0].fd, (struct sockaddr *)&any, sizeof any) < 0 || listen(polled[0].fd, PEERS) < 0) die("socket");
  /* Whoever started it knows now that it listens. */
  if (fork() != 0) return 0;
  for (int i = 1; i <= PEERS; i++) polled[i].fd = -1;
  for (;;) {
    poll(polled, PEERS + 1, -1);
    for (int i = 1; i <= PEERS; i++) {
      if (polled[i].fd < 0 || polled[i].revents == 0 || receive(polled[i].fd, i) == 0) continue;
      close(polled[i].fd);
      polled[i].fd = -1;
    }
    if (polled[0].revents == 0) continue;
    int fd = accept4(polled[0].fd, NULL, NULL, SOCK_CLOEXEC);
    int free = 1;
    while (free <= PEERS && polled[free].fd >= 0) free++;
    if (fd < 0 || free > PEERS) {
      close(fd);
      continue;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    lengths[free] = 0;
    polled[free] = (struct pollfd){.fd = fd, .events = POLLIN};
  }
}
