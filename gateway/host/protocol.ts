import { isMethod, type Method, PARAMS, type ParamsOf } from './api.ts';
import type { RuleProblem } from './rule-problem.ts';
import type { Problem } from './schema.ts';

/**
 * JSON-RPC 2.0 (jsonrpc.org/specification), one object a line: bytes to requests and back. Knows no state and no sockets.
 */
export const PROTOCOL = 1;
/** Without the line end. */
export const MAX_LINE_BYTES = 8 * 2 ** 20;
/** A line is measured before it is parsed: what no request needs would only cost memory. */
const MAX_DEPTH = 32;
const MAX_VALUES = 262_144;
const MAX_ID_CHARACTERS = 256;

export const RPC = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  /** The request is right; the state forbids it. */
  state: -32000,
} as const;

/** A request that is refused: what the answer's `error` says. */
export class RequestError extends Error {
  /** One of RPC. */
  readonly rpcCode: number;
  /** Stable; for RPC.state a state code of the host interface. */
  readonly code: string;
  /** The first parameter that is wrong. */
  readonly field: string | undefined;
  /** All that is wrong, where it is more than one thing. */
  readonly errors: readonly (Problem | RuleProblem)[] | undefined;

  constructor(
    rpcCode: number,
    code: string,
    message: string,
    field?: string,
    errors?: readonly (Problem | RuleProblem)[],
  ) {
    super(message);
    this.name = 'RequestError';
    this.rpcCode = rpcCode;
    this.code = code;
    this.field = field;
    this.errors = errors;
  }
}

/** What tells an answer's request; null in answers to what could not be read. */
export type RequestId = string | number | null;

export type Request = {
  [M in Method]: { readonly id: RequestId | undefined; readonly method: M; readonly params: ParamsOf<M> };
}[Method];

export type Decoded =
  /** `id` undefined: a notification, which gets no answer. */
  | { readonly request: Request }
  /** `isFatal`: what follows on the connection cannot be trusted. */
  | { readonly error: RequestError; readonly id: RequestId | undefined; readonly isFatal: boolean };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads one line, without its end. Never throws. */
export function decodeRequest(line: Uint8Array): Decoded {
  const parsed = parseLine(line);
  if (parsed instanceof RequestError) return { error: parsed, id: null, isFatal: true };
  const { value } = parsed;
  if (typeof value !== 'object' || value === null) return invalid(null, 'a request is an object');
  if (Array.isArray(value)) return invalid(null, 'there are no batches: send one request a line');
  const { jsonrpc, id, method, params = {} } = value as Record<string, unknown>;
  if (!isId(id)) return invalid(null, `'id' is a number, null, or a string of up to ${MAX_ID_CHARACTERS} characters`);
  if (jsonrpc !== '2.0') return invalid(id ?? null, `'jsonrpc' is "2.0"`);
  if (typeof method !== 'string') return invalid(id ?? null, `'method' is a string`);
  if (!isMethod(method)) {
    const message = `there is no method '${method.slice(0, 60)}'`;
    return { error: new RequestError(RPC.methodNotFound, 'method-not-found', message), id, isFatal: false };
  }
  const problems: Problem[] = [];
  const checked = PARAMS[method].check(params, '', problems);
  if (problems.length > 0) return { error: invalidParams(problems), id, isFatal: false };
  return { request: { id, method, params: checked } as Request };
}

/** @returns the error of a request whose parameters are wrong; there is at least one problem */
export function invalidParams(problems: readonly Problem[]): RequestError {
  const { field, message } = problems[0]!;
  const words = field === '' ? `params: ${message}` : `'${field}': ${message}`;
  return new RequestError(
    RPC.invalidParams,
    'invalid-params',
    words,
    field,
    problems.length > 1 ? problems : undefined,
  );
}

export function encodeResult(id: RequestId, result: unknown): string {
  return `${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`;
}

export function encodeError(id: RequestId, { rpcCode, code, field, errors, message }: RequestError): string {
  return `${JSON.stringify({ jsonrpc: '2.0', id, error: { code: rpcCode, message, data: { code, field, errors } } })}\n`;
}

/** A notification; from the host also a request, then with an id. */
export function encodeCall(method: string, params: unknown, id?: number): string {
  return `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
}

/** @returns the value of one line of JSON, or what is wrong with it */
export function parseLine(line: Uint8Array): { readonly value: unknown } | RequestError {
  const tooMuch = whyTooMuch(line);
  if (tooMuch !== null) return new RequestError(RPC.parseError, 'parse-error', tooMuch);
  try {
    return { value: JSON.parse(utf8.decode(line)) };
  } catch {
    return new RequestError(RPC.parseError, 'parse-error', 'the line is no JSON in UTF-8');
  }
}

/** @returns why the line is not parsed at all, or null */
function whyTooMuch(line: Uint8Array): string | null {
  if (line.length > MAX_LINE_BYTES) return `the line is longer than ${MAX_LINE_BYTES} bytes`;
  let depth = 0;
  let values = 0;
  let isInString = false;
  for (let i = 0; i < line.length; i++) {
    const byte = line[i]!;
    if (isInString) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) isInString = false;
    } else if (byte === 0x22) {
      isInString = true;
    } else if (byte === 0x7b || byte === 0x5b) {
      values++;
      if (++depth > MAX_DEPTH) return `nested deeper than ${MAX_DEPTH}`;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    } else if (byte === 0x2c) {
      values++;
    }
  }
  return values > MAX_VALUES ? `more than ${MAX_VALUES} values` : null;
}

function isId(id: unknown): id is RequestId | undefined {
  if (id === undefined || id === null) return true;
  if (typeof id === 'string') return id.length <= MAX_ID_CHARACTERS;
  return typeof id === 'number' && Number.isFinite(id);
}

function invalid(id: RequestId, message: string): Decoded {
  return { error: new RequestError(RPC.invalidRequest, 'invalid-request', message), id, isFatal: false };
}
