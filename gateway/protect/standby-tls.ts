import type { Socket } from 'node:net';
import type { TlsFiles } from '../host/tls-files.ts';
import { TlsListener } from '../host/tls-listener.ts';
import { toldTo } from '../host/told.ts';
import type { WatchTimes } from '../live-rules/watched-files.ts';

const TICK_MS = 1000;

export interface StandbyTls {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly files: TlsFiles;
  /** Names that certificates have: who has one of them protects the VM, and asks. A certificate of another VM is none of them. */
  readonly clients: readonly string[];
  /** What people should know: who was refused, and new files. */
  readonly tell: (message: string) => void;
  readonly watchTimes?: WatchTimes;
}

/** A standby's address for drivers on other hosts. */
export interface OpenTls {
  readonly port: number;
  /** Hangs up on everybody. */
  close(): Promise<void>;
}

/**
 * Listens for drivers with certificates, as the gateway does for its clients. Files may be exchanged at any time.
 * @param admit gets each connection of a client
 * @throws TlsFilesError, or the system's error where it cannot listen
 */
export async function openTls(options: StandbyTls, admit: (socket: Socket) => void): Promise<OpenTls> {
  const { host, port, files, tell, watchTimes } = options;
  const { log, refusals, clock } = toldTo(tell);
  const ticker = setInterval(() => refusals.tick(), TICK_MS).unref();
  try {
    const clients = new Map(options.clients.map((name) => [name, true] as const));
    const times = watchTimes === undefined ? {} : { watchTimes };
    const listener = await TlsListener.open(
      { host, port, files, clients },
      { admit: (socket) => admit(socket), clock, wallMs: Date.now, log, refusals, ...times },
    );
    return {
      port: listener.port,
      close() {
        clearInterval(ticker);
        return listener.close();
      },
    };
  } catch (error) {
    clearInterval(ticker);
    throw error;
  }
}
