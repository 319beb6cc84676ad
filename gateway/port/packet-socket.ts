import { errnoName, libc, NativeMemory } from './libc.ts';
import type { DeviceSocket } from './netdev-port.ts';
import { PortError } from './port-error.ts';
import { Readiness } from './readiness.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ALL = 3;
const NOTHING = 0;
const SOL_SOCKET = 1;
const SO = { error: 4, sndbuf: 7, rcvbuf: 8, sndbufForce: 32, rcvbufForce: 33 } as const;
const SOL_PACKET = 263;
const PACKET = {
  addMembership: 1,
  statistics: 6,
  auxdata: 8,
  vnetHeader: 15,
  qdiscBypass: 20,
  ignoreOutgoing: 23,
} as const;
const PACKET_MR_PROMISC = 1;
const EPERM = 1;
const SEND_BUFFER_BYTES = 8 * 2 ** 20;

/**
 * AF_PACKET sockets on one device (packet(7)): whole frames, with virtio headers, not its own host's. Frames go through one of
 * their own that nobody watches: for each of them the kernel would go and see who waits for room to send.
 */
export class PacketSocket implements DeviceSocket {
  readonly fd: number;
  readonly sendFd: number;
  readonly #memory = new NativeMemory(64);
  readonly trouble = null;
  queued = 0;
  dropped = 0;

  /**
   * @param receiveBufferBytes what may wait to be read, as the kernel counts it: a small frame counts as 768 bytes or more
   * @param qdiscBypass frames go to the driver directly; the kernel then drops super-frames that the device cannot cut
   * @param prepare sets what has to be set before it hears anything
   * @throws PortError
   */
  constructor(
    index: number,
    receiveBufferBytes: number,
    qdiscBypass: boolean,
    prepare: ((fd: number) => void) | null = null,
  ) {
    const c = libc();
    this.fd = openPacketSocket();
    let sendFd = -1;
    try {
      this.#buffer(this.fd, SO.rcvbufForce, SO.rcvbuf, receiveBufferBytes);
      this.#option(this.fd, 'PACKET_VNET_HDR', PACKET.vnetHeader, 1);
      this.#option(this.fd, 'PACKET_AUXDATA', PACKET.auxdata, 1);
      this.#option(this.fd, 'PACKET_IGNORE_OUTGOING', PACKET.ignoreOutgoing, 1);
      prepare?.(this.fd);
      this.#bind(this.fd, index, ETH_P_ALL);
      joinPromiscuous(this.fd, index);
      sendFd = openPacketSocket();
      this.#buffer(sendFd, SO.sndbufForce, SO.sndbuf, SEND_BUFFER_BYTES);
      this.#option(sendFd, 'PACKET_VNET_HDR', PACKET.vnetHeader, 1);
      if (qdiscBypass) this.#option(sendFd, 'PACKET_QDISC_BYPASS', PACKET.qdiscBypass, 1);
      this.#bind(sendFd, index, NOTHING);
      this.sendFd = sendFd;
    } catch (error) {
      c.close(this.fd);
      if (sendFd >= 0) c.close(sendFd);
      throw error;
    }
  }

  updateStatistics(): void {
    const { view, address } = this.#memory;
    view.setUint32(8, 8, true);
    // struct tpacket_stats; reading sets it back to 0.
    if (libc().getsockopt(this.fd, SOL_PACKET, PACKET.statistics, address, address + 8) < 0) return;
    const drops = view.getUint32(4, true);
    this.dropped += drops;
    this.queued += view.getUint32(0, true) - drops;
  }

  watch(ready: () => void, failed: () => void): Readiness {
    return new Readiness(this.fd, ready, failed);
  }

  clearError(): void {
    const { view, address } = this.#memory;
    view.setUint32(8, 4, true);
    libc().getsockopt(this.fd, SOL_SOCKET, SO.error, address, address + 8);
  }

  close(): void {
    libc().close(this.fd);
    libc().close(this.sendFd);
  }

  /** @param protocol of the frames that it hears */
  #bind(fd: number, index: number, protocol: number): void {
    const { view, address } = this.#memory;
    // struct sockaddr_ll
    this.#memory.bytes.fill(0, 0, 20);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, protocol);
    view.setInt32(4, index, true);
    if (libc().bind(fd, address, 20) < 0) throw new PortError('system', `bind: ${errnoName(libc().errno())}`);
  }

  #option(fd: number, name: string, option: number, value: number): void {
    if (!this.#set(fd, SOL_PACKET, option, value))
      throw new PortError('system', `${name}: ${errnoName(libc().errno())}`);
  }

  /** Beyond the system's limit where that is allowed, else as far as it allows. */
  #buffer(fd: number, force: number, plain: number, bytes: number): void {
    if (!this.#set(fd, SOL_SOCKET, force, bytes)) this.#set(fd, SOL_SOCKET, plain, bytes);
  }

  #set(fd: number, level: number, option: number, value: number): boolean {
    this.#memory.view.setUint32(0, value, true);
    return libc().setsockopt(fd, level, option, this.#memory.address, 4) === 0;
  }
}

/**
 * Without a protocol it hears nothing until it is bound: frames of other devices never get into its queue.
 * @throws PortError
 */
function openPacketSocket(): number {
  const c = libc();
  const fd = c.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd >= 0) return fd;
  const errno = c.errno();
  if (errno === EPERM) throw new PortError('not-permitted', 'packet sockets need CAP_NET_RAW and CAP_NET_ADMIN');
  throw new PortError('system', `socket: ${errnoName(errno)}`);
}

/**
 * The device hands up frames for any address while the packet socket is open.
 * @throws PortError
 */
export function joinPromiscuous(fd: number, index: number): void {
  const { view, address } = new NativeMemory(16);
  // struct packet_mreq
  view.setInt32(0, index, true);
  view.setUint16(4, PACKET_MR_PROMISC, true);
  if (libc().setsockopt(fd, SOL_PACKET, PACKET.addMembership, address, 16) < 0) {
    throw new PortError('system', `promiscuous mode: ${errnoName(libc().errno())}`);
  }
}
