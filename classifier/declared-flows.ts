import { conversationKey, FLOW_KEY_WORDS, type Flow, keyOfFlow } from './flow-key.ts';
import { KeyTable } from './key-table.ts';
import { L3, type Parsed } from './parsed.ts';

/** Most declarations at once. */
const MAX_FLOWS = 65_536;

interface Declaration {
  readonly className: string | null;
  readonly key: Int32Array;
  deadlineNs: number;
}

/** The flows that the host has declared to be of a class, for `declared` in rules. Bounded. */
export class DeclaredFlows {
  readonly #maxFlows: number;
  readonly #key = new Int32Array(FLOW_KEY_WORDS);
  #anyClass = new KeyTable(FLOW_KEY_WORDS);
  #byClass = new Map<string, KeyTable>();
  #declarations = new Map<number, Declaration>();
  /** Handles by what was declared. */
  #handles = new Map<string, number>();
  /** Not reused as long as the flows live. */
  #lastHandle = 0;

  constructor(maxFlows = MAX_FLOWS) {
    this.#maxFlows = maxFlows;
  }

  /**
   * HOT: allocates nothing.
   * @param now as `LiveState.now`
   * @returns whether the frame's flow was declared with this class, or without naming one. Frames of the other direction are of
   * another flow; a first fragment is of the flow that its ports tell
   */
  has(p: Parsed, className: string | null, now: Float64Array): boolean {
    if (this.#declarations.size === 0 || (p.l3 !== L3.ip4 && p.l3 !== L3.ip6)) return false;
    conversationKey(this.#key, p);
    if (this.#anyClass.isAlive(this.#key, now)) return true;
    if (className === null) return false;
    const flows = this.#byClass.get(className);
    return flows?.isAlive(this.#key, now) === true;
  }

  /**
   * Declares a flow. The same flow with the same class again has the same handle and gets a new deadline.
   * @param className null: of whatever class a rule says
   * @param timeoutNs null: until it is removed
   * @returns what `remove` takes; null: as many flows are declared as there may be
   */
  declare(flow: Flow, className: string | null, timeoutNs: number | null, nowNs: number): number | null {
    const key = keyOfFlow(flow);
    const name = nameOf(className, key);
    const deadlineNs = nowNs + (timeoutNs ?? Number.POSITIVE_INFINITY);
    const known = this.#handles.get(name);
    if (known === undefined && this.#declarations.size >= this.#maxFlows && !this.#dropExpired(nowNs)) return null;
    const handle = known ?? ++this.#lastHandle;
    this.#handles.set(name, handle);
    this.#declarations.set(handle, { className, key, deadlineNs });
    this.#flowsOf(className).put(key, deadlineNs);
    return handle;
  }

  /** @returns whether the handle's declaration was still in force */
  remove(handle: number, nowNs: number): boolean {
    const declaration = this.#declarations.get(handle);
    if (declaration === undefined) return false;
    const { className, key } = declaration;
    this.#declarations.delete(handle);
    this.#handles.delete(nameOf(className, key));
    const flows = this.#flowsOf(className);
    flows.delete(key);
    if (className !== null && flows.size === 0) this.#byClass.delete(className);
    return nowNs < declaration.deadlineNs;
  }

  /** @returns how many declarations are in force */
  count(nowNs: number): number {
    let alive = 0;
    for (const { deadlineNs } of this.#declarations.values()) if (nowNs < deadlineNs) alive++;
    return alive;
  }

  clear(): void {
    this.takeOver(new DeclaredFlows());
  }

  /** Takes the declarations of another; that one must not be used again. */
  takeOver(other: DeclaredFlows): void {
    this.#anyClass = other.#anyClass;
    this.#byClass = other.#byClass;
    this.#declarations = other.#declarations;
    this.#handles = other.#handles;
    this.#lastHandle = Math.max(this.#lastHandle, other.#lastHandle);
  }

  #flowsOf(className: string | null): KeyTable {
    if (className === null) return this.#anyClass;
    let flows = this.#byClass.get(className);
    if (flows === undefined) {
      flows = new KeyTable(FLOW_KEY_WORDS);
      this.#byClass.set(className, flows);
    }
    return flows;
  }

  /** @returns whether there is room now */
  #dropExpired(nowNs: number): boolean {
    for (const [handle, { deadlineNs }] of this.#declarations) if (!(nowNs < deadlineNs)) this.remove(handle, nowNs);
    return this.#declarations.size < this.#maxFlows;
  }
}

function nameOf(className: string | null, key: Int32Array): string {
  return `${className ?? ''} ${key.join()}`;
}
