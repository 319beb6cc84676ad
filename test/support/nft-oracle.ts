import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const NEEDED = ['ip', 'nft', 'tcpreplay', 'ethtool'];

/** Why the kernel cannot be asked on this machine; null where it can. */
export function noNftReason(): string | null {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const folders = `${process.env.PATH}:/usr/sbin:/sbin`.split(':');
  const missing = NEEDED.filter((program) => !folders.some((folder) => existsSync(`${folder}/${program}`)));
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  const made = spawnSync('ip', ['netns', 'add', `${NAMESPACE}-try`], { env: ENV });
  if (made.status !== 0) return `no network namespaces: ${String(made.stderr).trim()}`;
  spawnSync('ip', ['netns', 'del', `${NAMESPACE}-try`], { env: ENV });
  return null;
}

const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const NAMESPACE = `holdfast-nft-${process.pid}`;
/** The largest that a veth takes. */
const MTU = 65535;
/** Delivery behind the last send takes a moment; it never takes this long. */
const SETTLE_TRIES = 1000;
/** Frames that the kernel says it has lost on the way tell nothing about rules: all are sent again. */
const MOST_SENDINGS = 5;

/** Independent: every rule counts all its frames. First match: a frame counts only for the first rule that it meets. */
export type Evaluation = 'independent' | 'first-match';

/**
 * The kernel's nftables on the ingress hook of one end of a veth pair, in a namespace of its own; captures are sent into the other
 * end. Close it in any case.
 */
export class NftOracle {
  constructor() {
    run('ip', ['netns', 'add', NAMESPACE]);
    try {
      this.#inside('ip', ['link', 'add', 'hfa', 'type', 'veth', 'peer', 'name', 'hfb']);
      for (const device of ['hfa', 'hfb']) {
        // Nothing but the capture may be on the link.
        this.#inside('sysctl', ['-qw', `net.ipv6.conf.${device}.disable_ipv6=1`]);
        this.#inside('ip', ['link', 'set', device, 'mtu', String(MTU), 'arp', 'off', 'multicast', 'off']);
        for (const offload of ['gro', 'gso', 'tso']) this.#inside('ethtool', ['-K', device, offload, 'off']);
        this.#inside('ip', ['link', 'set', device, 'up']);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    spawnSync('ip', ['netns', 'del', NAMESPACE], { env: ENV });
  }

  /** @returns what nft says against the match, null if it takes it */
  refuses(match: string): string | null {
    const { status, stderr } = spawnSync('ip', ['netns', 'exec', NAMESPACE, 'nft', '-c', '-f', '-'], {
      env: ENV,
      input: rulesetOf([match], 'independent'),
    });
    return status === 0 ? null : String(stderr);
  }

  /**
   * Sends a capture past the rules.
   * @param matches one rule each, without a verdict
   * @param frames how many frames the capture has
   * @param sets definitions of named sets
   * @returns frames per rule
   */
  count(matches: readonly string[], capture: string, frames: number, evaluation: Evaluation, sets = ''): number[] {
    return this.#send(rulesetOf(matches, evaluation, sets), capture, frames);
  }

  /**
   * Sends a capture past a whole ruleset.
   * @param ruleset a table `netdev oracle` with a chain `ingress` on device hfb, whose first rule is `counter`
   * @returns what `nft list ruleset` prints then, with its counters
   */
  countListed(ruleset: string, capture: string, frames: number): string {
    this.#send(`flush ruleset\n${ruleset}`, capture, frames);
    return this.#inside('nft', ['list', 'ruleset']);
  }

  /** @returns frames per rule of the chain `ingress`, without the first, which counts all */
  #send(ruleset: string, capture: string, frames: number): number[] {
    for (let left = MOST_SENDINGS; ; left--) {
      this.#inside('nft', ['-f', '-'], ruleset);
      const [total, ...rules] = this.#counted(capture, frames);
      if (total === frames) return rules;
      if (left === 1) throw new Error(`the kernel saw ${total} of ${frames} frames`);
    }
  }

  /** @returns what the rules count of the capture; fewer frames where the queue between the devices, which is short, had no room for all */
  #counted(capture: string, frames: number): number[] {
    const lost = () => Number(this.#inside('cat', ['/sys/class/net/hfa/statistics/tx_dropped']));
    const lostBefore = lost();
    const sent = this.#inside('tcpreplay', ['-q', '--topspeed', '--preload-pcap', '-i', 'hfa', capture]);
    const successful = Number(/Successful packets:\s+(\d+)/.exec(sent)?.[1]);
    if (successful !== frames) throw new Error(`tcpreplay sent ${successful} of ${frames} frames:\n${sent}`);
    const given = frames - (lost() - lostBefore);
    for (let attempt = 0; attempt < SETTLE_TRIES; attempt++) {
      const counters = this.#counters();
      if (counters[0]! >= given) return counters;
    }
    throw new Error(`the kernel saw fewer than ${given} of ${frames} frames`);
  }

  #counters(): number[] {
    const listed = JSON.parse(this.#inside('nft', ['-j', 'list', 'chain', 'netdev', 'oracle', 'ingress'])) as {
      nftables: { rule?: { expr: { counter?: { packets: number } }[] } }[];
    };
    return listed.nftables
      .filter(({ rule }) => rule !== undefined)
      .map(({ rule }) => rule!.expr.find(({ counter }) => counter !== undefined)?.counter)
      .map((counter) => counter?.packets ?? 0);
  }

  #inside(program: string, parameters: readonly string[], input = ''): string {
    return run('ip', ['netns', 'exec', NAMESPACE, program, ...parameters], input);
  }
}

/** The first rule counts every frame. */
function rulesetOf(matches: readonly string[], evaluation: Evaluation, sets = ''): string {
  const verdict = evaluation === 'first-match' ? 'accept' : '';
  const rules = ['counter', ...matches.map((match) => `${match} counter ${verdict}`)];
  return `flush ruleset
table netdev oracle {
${sets}
chain ingress {
type filter hook ingress device hfb priority 0; policy accept;
${rules.join('\n')}
}
}
`;
}

function run(program: string, parameters: readonly string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync(program, parameters, {
    env: ENV,
    input,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0)
    throw new Error(`${program} ${parameters.join(' ')}: ${error?.message ?? stderr}\n${input.slice(0, 2000)}`);
  return stdout;
}
