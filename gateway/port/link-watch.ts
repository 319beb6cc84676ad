import { libc, NativeMemory } from './libc.ts';
import { drainNetlink, netlinkSocket } from './netlink.ts';
import { Readiness } from './readiness.ts';

/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR */
const GROUPS = 0x1 | 0x10 | 0x100;
const MESSAGE_BYTES = 65536;

/** Tells when any network device or its addresses have changed: the kernel sends it over netlink, nothing is polled. */
export class LinkWatch {
  readonly #fd: number;
  readonly #readiness: Readiness;

  /** @throws NetlinkError */
  constructor(changed: () => void) {
    const memory = new NativeMemory(MESSAGE_BYTES);
    const fd = netlinkSocket(GROUPS);
    this.#fd = fd;
    this.#readiness = new Readiness(
      fd,
      () => {
        if (drainNetlink(fd, memory)) changed();
      },
      changed,
    );
  }

  close(): void {
    this.#readiness.close();
    libc().close(this.#fd);
  }
}
