import type { FrameBatch } from '../frame-batch.ts';
import type { LinkState, LivePort, Port, PortCapabilities } from './port.ts';
import { PortCounters } from './port-counters.ts';

/** A port around a port, which it hands everything on to. Around one that does not live by itself it is always up. */
export abstract class PortWrapper implements LivePort {
  protected readonly inner: Port;
  readonly #live: LivePort | null;
  readonly #counters = new PortCounters();
  #onReady: (() => void) | null = null;

  constructor(inner: Port) {
    this.inner = inner;
    this.#live = isLive(inner) ? inner : null;
  }

  get name(): string {
    return this.inner.name;
  }

  get capabilities(): PortCapabilities {
    return this.inner.capabilities;
  }

  get counters(): PortCounters {
    return this.#live?.counters ?? this.#counters;
  }

  get link(): LinkState {
    return this.#live?.link ?? 'up';
  }

  get trouble(): string | null {
    return this.#live?.trouble ?? null;
  }

  get mode(): string | null {
    return this.#live?.mode ?? null;
  }

  get mtu(): number | null {
    return this.#live?.mtu ?? null;
  }

  get isReady(): boolean {
    return this.#live?.isReady ?? true;
  }

  gather(): void {
    this.inner.gather?.();
  }

  get onReady(): (() => void) | null {
    return this.#onReady;
  }

  set onReady(listener: (() => void) | null) {
    this.#onReady = listener;
    if (this.#live !== null) this.#live.onReady = listener;
  }

  get onLink(): (() => void) | null {
    return this.#live?.onLink ?? null;
  }

  set onLink(listener: (() => void) | null) {
    if (this.#live !== null) this.#live.onLink = listener;
  }

  setReading(wanted: boolean): void {
    this.#live?.setReading(wanted);
  }

  reset(): void {
    this.#live?.reset?.();
  }

  updateCounters(): void {
    this.#live?.updateCounters();
  }

  abstract receive(batch: FrameBatch, from: number, max: number, slotBytes: number): number;
  abstract transmit(batch: FrameBatch, from: number, count: number): number;

  close(): void {
    this.inner.close();
  }
}

function isLive(port: Port): port is LivePort {
  return 'setReading' in port;
}
