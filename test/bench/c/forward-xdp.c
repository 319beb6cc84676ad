/*
 * The baseline of the xdp port: frames from one device to the other and back through AF_XDP sockets in copy mode, each with memory
 * of its own, so that a frame is copied once in between.
 *
 *   forward-xdp INSIDE OUTSIDE [busy]    busy: never sleeps
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHUNK = 2048, RECEIVE = 4096, TRANSMIT = 1024, BATCH = 64, KERNEL_BATCH = 32, BUFFER = 8 << 20 };

struct ring {
  uint32_t *producer, *consumer, at;
  void *entries;
};

struct device {
  int fd;
  char *memory;
  struct ring receive, transmit, fill, completion;
  uint64_t free[TRANSMIT];
  int free_count;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int bpf(int command, union bpf_attr *attributes) {
  int fd = syscall(SYS_bpf, command, attributes, sizeof *attributes);
  if (fd < 0) fail("bpf");
  return fd;
}

/* Every frame goes to the socket in entry 0 of a map; where there is none it is dropped. */
static void redirect(int ifindex, int socket) {
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
  int map_fd = bpf(BPF_MAP_CREATE, &map);
  uint32_t key = 0, value = socket;
  union bpf_attr put = {.map_fd = map_fd};
  put.key = (uintptr_t)&key, put.value = (uintptr_t)&value;
  bpf(BPF_MAP_UPDATE_ELEM, &put);
  struct bpf_insn program[] = {
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd},
      {0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_DROP},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = sizeof program / sizeof *program, .prog_flags = BPF_F_XDP_HAS_FRAGS};
  load.insns = (uintptr_t)program, load.license = (uintptr_t)"GPL";
  int program_fd = bpf(BPF_PROG_LOAD, &load);
  union bpf_attr link = {0};
  link.link_create.prog_fd = program_fd;
  link.link_create.target_ifindex = ifindex;
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = XDP_FLAGS_DRV_MODE;
  bpf(BPF_LINK_CREATE, &link);
}

static struct ring map_ring(int fd, struct xdp_ring_offset *offset, uint64_t page, size_t bytes) {
  char *at = mmap(NULL, offset->desc + bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
  if (at == MAP_FAILED) fail("mmap");
  return (struct ring){(uint32_t *)(at + offset->producer), (uint32_t *)(at + offset->consumer), 0, at + offset->desc};
}

static void number(int fd, int option, int value) {
  if (setsockopt(fd, SOL_XDP, option, &value, sizeof value) < 0) fail("setsockopt");
}

static void open_device(struct device *device, const char *name) {
  size_t bytes = (size_t)CHUNK * (RECEIVE + TRANSMIT);
  int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), buffer = BUFFER;
  if (fd < 0) fail("AF_XDP");
  device->fd = fd;
  device->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  struct xdp_umem_reg memory = {.addr = (uintptr_t)device->memory, .len = bytes, .chunk_size = CHUNK};
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) < 0) fail("XDP_UMEM_REG");
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  number(fd, XDP_UMEM_FILL_RING, RECEIVE);
  number(fd, XDP_UMEM_COMPLETION_RING, TRANSMIT);
  number(fd, XDP_RX_RING, RECEIVE);
  number(fd, XDP_TX_RING, TRANSMIT);
  struct xdp_mmap_offsets offsets;
  socklen_t length = sizeof offsets;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) < 0) fail("XDP_MMAP_OFFSETS");
  device->receive = map_ring(fd, &offsets.rx, XDP_PGOFF_RX_RING, RECEIVE * sizeof(struct xdp_desc));
  device->transmit = map_ring(fd, &offsets.tx, XDP_PGOFF_TX_RING, TRANSMIT * sizeof(struct xdp_desc));
  device->fill = map_ring(fd, &offsets.fr, XDP_UMEM_PGOFF_FILL_RING, RECEIVE * sizeof(uint64_t));
  device->completion = map_ring(fd, &offsets.cr, XDP_UMEM_PGOFF_COMPLETION_RING, TRANSMIT * sizeof(uint64_t));
  for (int k = 0; k < TRANSMIT; k++) device->free[device->free_count++] = (uint64_t)k * CHUNK;
  for (int k = 0; k < RECEIVE; k++) ((uint64_t *)device->fill.entries)[k] = (uint64_t)(TRANSMIT + k) * CHUNK;
  device->fill.at = RECEIVE;
  __atomic_store_n(device->fill.producer, RECEIVE, __ATOMIC_RELEASE);
  struct sockaddr_xdp address = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = if_nametoindex(name)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(name);
  redirect(address.sxdp_ifindex, fd);
}

static void reclaim(struct device *device) {
  struct ring *ring = &device->completion;
  uint32_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
  for (; ring->at != end; ring->at++) {
    device->free[device->free_count++] = ((uint64_t *)ring->entries)[ring->at % TRANSMIT];
  }
  __atomic_store_n(ring->consumer, ring->at, __ATOMIC_RELEASE);
}

static void flush(struct device *device) {
  __atomic_store_n(device->transmit.producer, device->transmit.at, __ATOMIC_RELEASE);
  while (send(device->fd, NULL, 0, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR || errno == EBUSY)) continue;
  reclaim(device);
}

static int move(struct device *from, struct device *to) {
  struct ring *receive = &from->receive, *fill = &from->fill, *transmit = &to->transmit;
  uint32_t filled = __atomic_load_n(receive->producer, __ATOMIC_ACQUIRE) - receive->at;
  int count = filled < BATCH ? filled : BATCH, fresh = 0;
  for (int i = 0; i < count; i++) {
    struct xdp_desc frame = ((struct xdp_desc *)receive->entries)[receive->at++ % RECEIVE];
    ((uint64_t *)fill->entries)[fill->at++ % RECEIVE] = frame.addr & ~(uint64_t)(CHUNK - 1);
    while (to->free_count == 0) flush(to);
    uint64_t chunk = to->free[--to->free_count];
    memcpy(to->memory + chunk, from->memory + frame.addr, frame.len);
    ((struct xdp_desc *)transmit->entries)[transmit->at++ % TRANSMIT] = (struct xdp_desc){chunk, frame.len, 0};
    if (++fresh == KERNEL_BATCH) fresh = 0, flush(to);
  }
  if (count == 0) return 0;
  __atomic_store_n(receive->consumer, receive->at, __ATOMIC_RELEASE);
  __atomic_store_n(fill->producer, fill->at, __ATOMIC_RELEASE);
  if (fresh > 0) flush(to);
  return count;
}

int main(int argc, char **argv) {
  if (argc != 3 && (argc != 4 || strcmp(argv[3], "busy") != 0)) return 2;
  static struct device inside, outside;
  open_device(&inside, argv[1]);
  open_device(&outside, argv[2]);
  puts("ready");
  fflush(stdout);
  while (argc == 4) move(&inside, &outside), move(&outside, &inside);
  struct pollfd fds[2] = {{inside.fd, POLLIN, 0}, {outside.fd, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents & POLLIN) move(&inside, &outside);
    if (fds[1].revents & POLLIN) move(&outside, &inside);
  }
}
