import { knownAddress, knownMemberships } from '../host/api.ts';
import { invalidParams, parseLine, RequestError, type RequestId, RPC } from '../host/protocol.ts';
import {
  boolean,
  integer,
  list,
  object,
  oneOf,
  optional,
  type Problem,
  type Schema,
  type TypeOf,
  text,
} from '../host/schema.ts';

/**
 * What a standby is asked: JSON-RPC 2.0, one object a line, as on the host interface. Behind a line `image.data` follow as many
 * bytes of the image as it says, and then the next line.
 */
export const STANDBY_PROTOCOL = 1;

const MAX_NUMBER = Number.MAX_SAFE_INTEGER - 1;
const DAY_MS = 86_400_000;
/** Of one piece of an image. */
export const MAX_PIECE_BYTES = 2 ** 20;

const term = integer(1, MAX_NUMBER);
const epoch = integer(1, MAX_NUMBER);

export const STANDBY_PARAMS = {
  /**
   * A driver protects a VM from here: it takes the place of whoever did before. `patienceMs`: after so long without an answer of the
   * standby it asks its gateway for nothing more; `leaseMs`: how long the gateway then lets data pass. 0: without end.
   */
  'protect.hello': object({
    vm: text(1, 64),
    protocol: oneOf(STANDBY_PROTOCOL),
    term,
    patienceMs: integer(1, DAY_MS),
    leaseMs: integer(0, DAY_MS),
  }),
  /** The driver and its machine live. */
  'protect.ping': object({ term }),
  /**
   * Where the VM is reached, and which multicast groups it has joined: for a gateway that takes over without having heard it. Replaces
   * what was said before.
   */
  'protect.addresses': object({ term, addresses: list(knownAddress, 1024), memberships: optional(knownMemberships) }),
  /** No image is of use any more: output that it does not contain has been or will be passed. */
  'protect.forget': object({ term }),
  /** The machine is gone. `isDeliberate`: it was told to end, and nobody need go on for it. */
  'protect.gone': object({ term, isDeliberate: boolean(), why: text(0, 1024) }),
  /** What comes now is the image of checkpoint `epoch`. Another one that is on its way is thrown away. */
  'image.begin': object({ term, epoch }),
  'image.data': object({ bytes: integer(1, MAX_PIECE_BYTES) }),
  /** It is complete: so many bytes with this CRC-32. The answer says that it is kept. */
  'image.end': object({ term, epoch, bytes: integer(1, MAX_NUMBER), crc: integer(0, 0xffff_ffff) }),
  'image.abandon': object({}),
  /** Disks are about to be copied anew: no image is of use any more, and what is written counts at once. */
  'disk.copy': object({ term }),
  /** The copies are complete. What is written from now on belongs to epochs behind `epoch`. */
  'disk.start': object({ term, epoch: integer(0, MAX_NUMBER) }),
  /** A driver comes anew, within a term: can it go on with the copies that there are? */
  'disk.resume': object({ term }),
  /** The machine is paused: what it has written until now belongs to `epoch`, or to an earlier one. */
  'disk.seal': object({ term, epoch }),
  /** The checkpoint failed: what it wrote belongs to the next one. */
  'disk.abort': object({ term, epoch }),
  status: object({}),
  /** The VM goes on here, whatever became of the machine that it was on. `why` is for people. */
  failover: object({ why: optional(text(0, 1024)) }),
  /** Nobody need go on here, for the VM is protected elsewhere, or not any more: the image is forgotten. `why` is for people. */
  forget: object({ why: optional(text(0, 1024)) }),
} as const satisfies Readonly<Record<string, Schema<unknown>>>;

export type StandbyMethod = keyof typeof STANDBY_PARAMS;
export type StandbyParams<M extends StandbyMethod> = TypeOf<(typeof STANDBY_PARAMS)[M]>;

/** `waiting`: no image yet. `ready`: the last image can be gone on from. `active`: the VM is here. `failed`: it could not be. */
export type StandbyState = 'waiting' | 'ready' | 'failing-over' | 'active' | 'ended' | 'failed';

/** Where a driver lets its machine copy the disks to. */
export interface DiskPlace {
  /** `unix:PATH`, `tcp:HOST:PORT` or `tls:HOST:PORT`, as the standby listens. */
  readonly address: string;
  readonly disks: readonly { readonly name: string; readonly export: string; readonly sizeBytes: number }[];
}

export interface DiskSummary {
  readonly name: string;
  readonly image: string;
  /** `off`: no term is in force, and writes count at once: nothing has been copied, or it is being. */
  readonly state: 'off' | 'on' | 'failed';
  readonly term: number;
  readonly committedEpoch: number;
  /** The protected machine is connected, and all that it wrote since has arrived. */
  readonly isMirrored: boolean;
  readonly logBytes: number;
  /** Why committed writes cannot be brought into the image; null where they can. */
  readonly flushError: string | null;
}

/** A checkpoint, as terms and epochs number it. */
export interface Checkpoint {
  readonly term: number;
  readonly epoch: number;
}

export interface StandbyStatus {
  readonly vm: string;
  readonly state: StandbyState;
  /** The VM is here, or may be: whoever has its machine elsewhere must not let that run. */
  readonly hasGoneOn: boolean;
  /** The newest image that is complete. */
  readonly image: (Checkpoint & { readonly bytes: number }) | null;
  /** The image on its way. */
  readonly incoming: (Checkpoint & { readonly bytes: number }) | null;
  readonly images: number;
  /** Since the last word of a driver; null: none has been there. */
  readonly driverSilentMs: number | null;
  readonly hasDriver: boolean;
  /** `warm`: a machine waits. `cold`: one is started when it is needed. */
  readonly machine: 'warm' | 'cold' | 'starting' | 'running' | 'gone';
  /** What is there instead, and may be the VM; null: nothing that was seen. */
  readonly occupied: string | null;
  /** Of the machine's process. */
  readonly pid: number | null;
  /** The QMP socket of the machine. */
  readonly qmp: string;
  readonly disks: readonly DiskSummary[];
  /** Images are of what has changed in memory; see delta-image.ts. Older standbys do not say. */
  readonly keepsChanges?: boolean;
  /** `protect.addresses` may have them. Older standbys do not say, and hang up on what they do not know. */
  readonly knowsMemberships?: boolean;
  /** What went wrong last, for people. */
  readonly trouble: string | null;
}

export interface FailoverReport extends Checkpoint {
  /** The term that began. */
  readonly newTerm: number;
  readonly discardedFrames: number;
  readonly releasedFrames: number;
  readonly why: string;
  /** From the decision to: the disks are of the checkpoint; the image is loaded; the ports are switched; the machine runs. */
  readonly disksMs: number;
  readonly loadedMs: number;
  readonly switchedMs: number;
  readonly runningMs: number;
}

export interface StandbyResults {
  /**
   * `newest`: the checkpoint that a failover would go back to. `disks`: names of those that have to be mirrored. `keepsChanges`: images are
   * of what has changed in memory; see delta-image.ts.
   */
  'protect.hello': {
    readonly newest: Checkpoint | null;
    readonly disks: readonly string[];
    readonly keepsChanges?: boolean;
  };
  'protect.ping': Record<string, never>;
  'protect.addresses': Record<string, never>;
  'protect.forget': Record<string, never>;
  'protect.gone': Record<string, never>;
  'image.begin': Record<string, never>;
  'image.data': Record<string, never>;
  'image.end': Record<string, never>;
  'image.abandon': Record<string, never>;
  'disk.copy': DiskPlace;
  'disk.start': Record<string, never>;
  'disk.resume': { readonly isWhole: boolean };
  'disk.seal': Record<string, never>;
  'disk.abort': Record<string, never>;
  status: StandbyStatus;
  failover: FailoverReport;
  forget: Record<string, never>;
}

export type StandbyRequest = {
  [M in StandbyMethod]: {
    readonly id: RequestId | undefined;
    readonly method: M;
    readonly params: StandbyParams<M>;
  };
}[StandbyMethod];

/** @throws RequestError */
export function decodeStandbyRequest(line: Uint8Array): StandbyRequest {
  const parsed = parseLine(line);
  if (parsed instanceof RequestError) throw parsed;
  const { id, method, params = {} } = (parsed.value ?? {}) as Record<string, unknown>;
  if (typeof method !== 'string' || !Object.hasOwn(STANDBY_PARAMS, method)) {
    throw new RequestError(RPC.methodNotFound, 'method-not-found', 'a standby has no such method');
  }
  const problems: Problem[] = [];
  const checked = STANDBY_PARAMS[method as StandbyMethod].check(params, '', problems);
  if (problems.length > 0) throw invalidParams(problems);
  return { id, method, params: checked } as StandbyRequest;
}
