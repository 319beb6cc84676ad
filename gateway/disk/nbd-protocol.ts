/**
 * Numbers of the NBD protocol, fixed newstyle negotiation and simple replies (NetworkBlockDevice/nbd, doc/proto.md: "Fixed newstyle
 * negotiation", "Simple reply message", "Values").
 */
export const MAGIC = {
  /** "NBDMAGIC" */
  init: 0x4e42444d41474943n,
  /** "IHAVEOPT" */
  option: 0x49484156454f5054n,
  optionReply: 0x0003e889045565a9n,
  request: 0x25609513,
  simpleReply: 0x67446698,
} as const;

export const HANDSHAKE_FLAG = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OPTION = { exportName: 1, abort: 2, list: 3, startTls: 5, info: 6, go: 7 } as const;

const ERROR = 0x80000000;
export const REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  unsupported: ERROR + 1,
  policy: ERROR + 2,
  invalid: ERROR + 3,
  tlsRequired: ERROR + 5,
  unknown: ERROR + 6,
} as const;

export const INFO = { export: 0, blockSize: 3 } as const;

export const EXPORT_FLAG = {
  hasFlags: 1 << 0,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  /** A flush on one connection is about the writes of all: they go into one log. */
  canMultiConn: 1 << 8,
  /** Zeros are a record in the log, however many: always fast. */
  sendFastZero: 1 << 11,
} as const;

export const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;

export const COMMAND_FLAG = { fua: 1 << 0, noHole: 1 << 1, fastZero: 1 << 4 } as const;

/** Error numbers of replies. */
export const NBD_ERROR = { none: 0, io: 5, invalid: 22, noSpace: 28, shutdown: 108 } as const;

export const BLOCK_SIZE = { minimum: 1, preferred: 4096, maximum: 32 * 2 ** 20 } as const;

/** "String values": the longest that must be understood. */
export const MAX_NAME_BYTES = 4096;
