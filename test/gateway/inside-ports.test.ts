import { afterEach, describe, expect, test, vi } from 'vitest';
import { InsidePorts } from '../../gateway/inside-ports.ts';
import { joinPorts } from '../../gateway/port/bundle.ts';
import { PortError } from '../../gateway/port/port-error.ts';
import { type PortSpec, parsePortSpec } from '../../gateway/port/spec.ts';
import { FailoverScene, type LiveMemoryPort, type Machine } from '../support/failover-scene.ts';
import { answerOf } from '../support/rig.ts';
import { HOLD, PASS } from '../support/scene.ts';

/** A VM behind tap0, or tap0 and tap1, with machines behind taps of other names. */
class Scene extends FailoverScene {
  readonly machines = new Map<string, Machine>([
    ['tap0', this.a],
    ['tap1', this.b],
  ]);
  readonly opened: string[] = [];
  readonly listened: string[] = [];
  readonly inside: InsidePorts;

  constructor(pairs = 1, options: ConstructorParameters<typeof FailoverScene>[0] = {}) {
    super(options);
    const first = ['tap0', 'tap1'].slice(0, pairs);
    if (pairs > 1) this.vm.forwarder.changeInside(joinPorts(first.map((name) => this.machines.get(name)!.port)), null);
    this.inside = new InsidePorts({
      vm: this.vm,
      first: first.map((name) => ({ spec: parsePortSpec(name), port: this.machines.get(name)!.port })),
      open: (spec) => this.#open(spec),
      isTaken: ({ arg }) => arg === 'eth0',
      onInside: (port, pair) => this.listened.push(`${pair}:${port.name.replace('.b', '')}`),
    });
    this.vm.start();
  }

  at(name: string): Machine {
    return this.machines.get(name)!;
  }

  get states(): Record<string, string> {
    return Object.fromEntries(
      [...this.machines].map(([name, { port }]) => {
        const isIn = (list: readonly { readonly port: unknown }[]) => list.some((one) => one.port === port);
        const role = isIn(this.inside.inForce) ? 'inside' : isIn(this.inside.fenced) ? 'fenced' : 'none';
        return [name, port.closed ? 'closed' : role];
      }),
    );
  }

  #open({ backend, arg }: PortSpec): LiveMemoryPort {
    if (arg === 'enslaved') throw new PortError('enslaved', 'enslaved belongs to a bridge');
    this.opened.push(`${backend}:${arg}`);
    const machine = this.machine(arg);
    this.machines.set(arg, machine);
    return machine.port;
  }
}

/** @returns the code of the PortError that `request` throws */
function refusalOf(request: () => unknown): string {
  try {
    request();
  } catch (error) {
    if (error instanceof PortError) return error.code;
    throw error;
  }
  return 'granted';
}

afterEach(() => {
  vi.useRealTimers();
});

test('the port of the standby is opened and heard, the old one is fenced', () => {
  const scene = new Scene();
  const answer = scene.inside.failover(1, 0, 'tap:tap2');
  expect(answer).toMatchObject({
    term: 2,
    openEpoch: 2,
    ports: [
      { name: 'tap2', state: 'up' },
      { name: 'tap0', state: 'fenced' },
    ],
  });
  expect([scene.opened, scene.listened]).toEqual([['tap:tap2'], ['0:tap2']]);
  scene.send(scene.at('tap2').hand, 1, PASS);
  scene.send(scene.at('tap0').hand, 2, PASS);
  expect(scene.came(scene.net)).toEqual([1]);
  expect(scene.inside.inForce.map(({ spec }) => spec)).toEqual([{ backend: 'tap', arg: 'tap2' }]);
});

test('a link that is not there yet is waited for', () => {
  const scene = new Scene();
  const open = scene.machine.bind(scene);
  scene.machine = (name: string) => {
    const machine = open(name);
    machine.port.state = 'absent';
    return machine;
  };
  expect(scene.inside.failover(1, 0, 'tap2').ports[0]).toEqual({ name: 'tap2', state: 'absent' });
  expect(scene.vm.epochs.term).toBe(2);
});

describe('a failover is refused, and nothing changes', () => {
  test.each([
    ['without the name of a port', '', 'bad-name'],
    ['with a port of another kind', 'floppy:a', 'bad-name'],
    ['with too many ports', 'tap2 tap3', 'bad-name'],
    ['with a device that must not be a port', 'enslaved', 'enslaved'],
    ['with the outside port', 'eth0', 'taken'],
    ['with a port that answers for every address', 'ip:tun0', 'bad-name'],
    ['with the inside port by another way', 'tap:tap0', 'taken'],
  ])('%s', (_, inside, code) => {
    const scene = new Scene();
    scene.send(scene.a.hand, 1, HOLD);
    expect(refusalOf(() => scene.inside.failover(1, 0, inside))).toBe(code);
    expect([scene.vm.epochs.term, scene.vm.stillHeld, scene.opened]).toEqual([1, 1, []]);
    scene.send(scene.a.hand, 2, PASS);
    expect(scene.came(scene.net)).toEqual([2]);
  });

  test.each([
    ['with too few ports', 'tap2', 'bad-name', []],
    ['with a port for two pairs', 'tap2 packet:tap2', 'taken', []],
    ['with a second port that cannot be opened', 'tap2 enslaved', 'enslaved', ['packet:tap2']],
  ])('%s, where the VM has two pairs', (_, inside, code, opened) => {
    const scene = new Scene(2);
    expect(refusalOf(() => scene.inside.failover(1, 0, inside))).toBe(code);
    expect([scene.vm.epochs.term, scene.opened]).toEqual([1, opened]);
    if (opened.length > 0) expect(scene.at('tap2').port.closed).toBe(true);
    expect(scene.states).toMatchObject({ tap0: 'inside', tap1: 'inside' });
  });

  test('by the state of the VM, before any port is looked at', () => {
    const scene = new Scene();
    expect(answerOf(() => scene.inside.failover(0, 0, 'enslaved'))).toEqual({ code: 'stale-term' });
    expect(answerOf(() => scene.inside.failover(1, 1, 'tap2'))).toEqual({ code: 'epoch-not-sealed' });
    expect(scene.opened).toEqual([]);
  });

  test('with a port that cannot push back, where the buffer’s overflow needs that', () => {
    const scene = new Scene(1, { overflow: 'backpressure' });
    expect(refusalOf(() => scene.inside.failover(1, 0, 'tap2'))).toBe('granted');
    Object.defineProperty(scene.at('tap0').port, 'capabilities', { value: { pushesBack: false } });
    const open = scene.machine.bind(scene);
    scene.machine = (name: string) => {
      const machine = open(name);
      Object.defineProperty(machine.port, 'capabilities', { value: { pushesBack: false, cutsFrames: false } });
      return machine;
    };
    expect(refusalOf(() => scene.inside.failover(2, 0, 'tap3'))).toBe('no-backpressure');
    expect(scene.states).toMatchObject({ tap2: 'inside', tap3: 'closed' });
  });
});

describe('one failover after another', () => {
  test('a fenced port is closed by the next, unless the VM goes back there', () => {
    const scene = new Scene();
    scene.inside.failover(1, 0, 'tap2');
    expect(scene.states).toEqual({ tap0: 'fenced', tap1: 'none', tap2: 'inside' });
    scene.inside.failover(2, 0, 'tap3');
    expect(scene.states).toEqual({ tap0: 'closed', tap1: 'none', tap2: 'fenced', tap3: 'inside' });
    scene.put(scene.at('tap2').hand, 1, PASS);
    scene.inside.failover(3, 0, 'tap2');
    expect(scene.states).toEqual({ tap0: 'closed', tap1: 'none', tap2: 'inside', tap3: 'fenced' });
    expect(scene.opened).toEqual(['packet:tap2', 'packet:tap3']);
    scene.send(scene.at('tap2').hand, 2, PASS);
    expect(scene.came(scene.net)).toEqual([2]);
    expect(scene.vm.counters.reasonsByName()).toMatchObject({ fenced: 1 });
  });

  test('to the port in force: its peer is hung up on, what it sent and nobody read is dropped', () => {
    const scene = new Scene();
    scene.put(scene.a.hand, 1, PASS);
    const { ports } = scene.inside.failover(1, 0, 'packet:tap0');
    expect(ports).toEqual([{ name: 'tap0', state: 'up' }]);
    expect([scene.a.port.resets, scene.a.port.closed, scene.opened]).toEqual([1, false, []]);
    expect(scene.inside.fenced).toEqual([]);
    scene.send(scene.a.hand, 2, PASS);
    expect(scene.came(scene.net)).toEqual([2]);
  });

  test('a port that was closed at a stop is opened again', () => {
    const scene = new Scene();
    scene.inside.failover(1, 0, 'tap2');
    scene.vm.stop(2, 'release');
    expect(scene.states).toMatchObject({ tap0: 'closed' });
    scene.vm.start();
    scene.inside.failover(3, 0, 'tap0');
    expect(scene.opened).toEqual(['packet:tap2', 'packet:tap0']);
    scene.send(scene.at('tap0').hand, 1, PASS);
    expect(scene.came(scene.net)).toEqual([1]);
  });
});

describe('several pairs of ports', () => {
  test('change in their order, and one may stay', () => {
    const scene = new Scene(2);
    scene.send(scene.a.hand, 1, PASS);
    scene.inside.failover(1, 0, ' tap2\ttap1 ');
    expect(scene.states).toEqual({ tap0: 'fenced', tap1: 'inside', tap2: 'inside' });
    expect(scene.listened).toEqual(['0:tap2', '1:b']);
    expect([scene.b.port.resets, scene.at('tap2').port.resets]).toEqual([1, 0]);
    for (const [n, name] of ['tap0', 'tap1', 'tap2'].entries()) scene.send(scene.at(name).hand, 10 + n, PASS);
    expect(scene.came(scene.net)).toEqual([1, 11, 12]);
  });
});

describe('a fenced port whose link is gone', () => {
  test('is closed after a minute', () => {
    vi.useFakeTimers();
    const scene = new Scene();
    scene.inside.failover(1, 0, 'tap2');
    scene.a.port.become('absent');
    scene.a.port.become('absent');
    vi.advanceTimersByTime(59_999);
    expect(scene.states).toMatchObject({ tap0: 'fenced' });
    vi.advanceTimersByTime(1);
    expect(scene.states).toMatchObject({ tap0: 'closed' });
    expect(scene.inside.fenced).toEqual([]);
  });

  test('stays fenced where it comes back before, or the VM goes back to it', () => {
    vi.useFakeTimers();
    const scene = new Scene();
    scene.a.port.state = 'absent';
    scene.inside.failover(1, 0, 'tap2');
    scene.a.port.become('up');
    vi.advanceTimersByTime(120_000);
    expect(scene.states).toMatchObject({ tap0: 'fenced' });
    scene.a.port.become('absent');
    scene.inside.failover(2, 0, 'tap0');
    vi.advanceTimersByTime(120_000);
    expect(scene.states).toMatchObject({ tap0: 'inside', tap2: 'fenced' });
  });
});

test('closing closes every port that is open', () => {
  const scene = new Scene();
  scene.a.port.reading = false;
  scene.inside.failover(1, 0, 'tap2');
  expect(scene.a.port.reading).toBe(true);
  scene.inside.close();
  expect(scene.states).toMatchObject({ tap0: 'closed', tap2: 'closed' });
});
