/*
 * vlan-tap DEVICE TAP ID: a tap device in this network namespace whose frames are those of one VLAN on another device, where the kernel
 * has no VLAN devices. What is sent through the tap gets the tag (IEEE 802.1Q), what comes with it loses it; nothing else is touched.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESSES = 12, TAG = 4, MOST = 65536 };

static void die(const char *what) {
  perror(what);
  exit(1);
}

static unsigned short id;
static unsigned char frame[TAG + MOST];

/* The tag is in the frame, or the kernel has taken it out and says so. @returns whether this frame is of our VLAN, without its tag */
static int receive(int fd, unsigned char **from, ssize_t *length) {
  struct iovec part = {frame + TAG, MOST};
  char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
  struct sockaddr_ll link;
  struct msghdr message = {&link, sizeof link, &part, 1, control, sizeof control, 0};
  *length = recvmsg(fd, &message, 0);
  *from = frame + TAG;
  if (*length < ADDRESSES + 2 || link.sll_pkttype == PACKET_OUTGOING) return 0;
  for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one; one = CMSG_NXTHDR(&message, one)) {
    struct tpacket_auxdata aux;
    if (one->cmsg_level != SOL_PACKET || one->cmsg_type != PACKET_AUXDATA) continue;
    memcpy(&aux, CMSG_DATA(one), sizeof aux);
    if (aux.tp_status & TP_STATUS_VLAN_VALID) return (aux.tp_vlan_tci & 0xfff) == id;
  }
  unsigned char *type = *from + ADDRESSES;
  if (type[0] != 0x81 || type[1] != 0 || *length < ADDRESSES + TAG + 2 || ((type[2] & 0xf) << 8 | type[3]) != id) return 0;
  memmove(*from + TAG, *from, ADDRESSES);
  *from += TAG;
  *length -= TAG;
  return 1;
}

int main(int count, char **words) {
  if (count != 4) return 2;
  id = atoi(words[3]);
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strncpy(request.ifr_name, words[2], IFNAMSIZ - 1);
  int tap = open("/dev/net/tun", O_RDWR);
  if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0) die("tap");
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), yes = 1;
  struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(words[1])};
  struct packet_mreq all = {.mr_ifindex = link.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (fd < 0 || link.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&link, sizeof link) < 0) die(words[1]);
  if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof yes) < 0) die("PACKET_AUXDATA");
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0) die("PACKET_MR_PROMISC");
  puts("ready");
  fflush(stdout);
  struct pollfd polled[] = {{.fd = tap, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  for (;;) {
    poll(polled, 2, -1);
    if (polled[0].revents != 0) {
      ssize_t length = read(tap, frame + TAG, MOST);
      if (length < ADDRESSES) die("tap");
      memmove(frame, frame + TAG, ADDRESSES);
      const unsigned char tag[] = {0x81, 0, id >> 8, id & 0xff};
      memcpy(frame + ADDRESSES, tag, TAG);
      /* Whoever uses the tap sends again what was lost here. */
      if (send(fd, frame, length + TAG, 0) < 0) continue;
    }
    unsigned char *from;
    ssize_t length;
    if (polled[1].revents != 0 && receive(fd, &from, &length) && write(tap, from, length) < 0) continue;
  }
}
