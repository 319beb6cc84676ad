import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FrameBatch } from '../../../gateway/frame-batch.ts';
import { CapturePort } from '../../../gateway/port/capture.ts';
import { FaultyPort } from '../../../gateway/port/faults.ts';
import { FilePort } from '../../../gateway/port/file.ts';
import { memoryLink } from '../../../gateway/port/memory.ts';
import { PacketPort } from '../../../gateway/port/packet.ts';
import { PcapPort } from '../../../gateway/port/pcap.ts';
import type { Port } from '../../../gateway/port/port.ts';
import { RingPort } from '../../../gateway/port/ring.ts';
import { StreamPort } from '../../../gateway/port/stream.ts';
import { TapPort } from '../../../gateway/port/tap.ts';
import { SUPER_FRAME_BYTES } from '../../../gateway/port/vnet-header.ts';
import { XdpPort } from '../../../gateway/port/xdp.ts';
import { PcapngWriter } from '../../../pcaps/pcapng-writer.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../../support/netns.ts';
import { missingPackage } from '../../support/packages.ts';
import { recordOf } from '../../support/replay-frames.ts';
import { checkPort, type PortPair } from './contract.ts';
import { anyClock } from './hands.ts';

const noRoot = noNetnsReason('sysctl');
const noCap = missingPackage('cap');

async function inNetns(make: (netns: Netns) => readonly [Port, Port]): Promise<PortPair> {
  const netns = new Netns('port');
  try {
    netns.enter();
    const [near, far] = make(netns);
    const close = () => {
      near.close();
      far.close();
      leaveNetns();
      netns.delete();
    };
    return { near, far, close };
  } catch (error) {
    leaveNetns();
    netns.delete();
    throw error;
  }
}

/** @returns a pair on a veth pair; the far end is a packet port */
function onVeth(open: (device: string) => Port): (mtu: number) => Promise<PortPair> {
  return (mtu) =>
    inNetns((netns) => {
      netns.veth('near', netns, 'far');
      for (const device of ['near', 'far']) netns.run('ip', 'link', 'set', device, 'mtu', String(mtu));
      return [open('near'), new PacketPort('far', anyClock())];
    });
}

async function streamPair(address: { path: string } | { host: string; port: number }): Promise<PortPair> {
  const near = new StreamPort('near', address, anyClock(), { role: 'listen' });
  const far = new StreamPort('far', address, anyClock(), { reconnectMs: 5 });
  const close = () => {
    near.close();
    far.close();
  };
  await until(() => near.link === 'up' && far.link === 'up', 'the stream to be there');
  return { near, far, close };
}

/** A capture as a link: what the far end sends is staged, one record after another. */
function filePair(): PortPair {
  const sent: Uint8Array[] = [];
  const waiting: Uint8Array[] = [];
  const file = new FilePort('near', anyClock(), (batch, i) => sent.push(bytesOf(batch, i)));
  let isClosed = false;
  const near: Port = {
    name: file.name,
    capabilities: file.capabilities,
    receive: (batch, from, max, slotBytes) => {
      if (isClosed) return 0;
      let count = 0;
      while (count < max && waiting.length > 0) {
        file.stage(recordOf(waiting.shift()!));
        count += file.receive(batch, from + count, max - count, slotBytes);
      }
      return count;
    },
    transmit: (batch, from, count) => (isClosed ? 0 : file.transmit(batch, from, count)),
    close: () => {
      isClosed = true;
      file.close();
    },
  };
  const far: Port = {
    name: 'far',
    capabilities: file.capabilities,
    receive: (batch, from, max) => {
      const frames = sent.splice(0, max);
      frames.forEach((frame, k) => {
        batch.slab.bytes.set(frame, batch.offset[from + k]!);
        batch.length[from + k] = frame.length;
        batch.gsoType[from + k] = 0;
      });
      return frames.length;
    },
    transmit: (batch, from, count) => {
      for (let i = from; i < from + count; i++) waiting.push(bytesOf(batch, i));
      return count;
    },
    close: () => {},
  };
  return { near, far, close: () => near.close() };
}

function bytesOf(batch: FrameBatch, i: number): Uint8Array {
  return batch.slab.bytes.slice(batch.offset[i]!, batch.offset[i]! + batch.length[i]!);
}

function memoryPair(): PortPair {
  const [near, far] = memoryLink('link', 128, SUPER_FRAME_BYTES, anyClock());
  const close = () => {
    near.close();
    far.close();
  };
  return { near, far, close };
}

checkPort({ name: 'memory', reason: null, lacks: {}, make: async () => memoryPair() });

checkPort({
  name: 'file',
  reason: null,
  lacks: {
    superFrames: 'a capture does not say that a frame is a super-frame',
    segments: 'a capture keeps frames as they are',
  },
  make: async () => filePair(),
});

checkPort({
  name: 'packet',
  reason: noRoot,
  lacks: {},
  make: onVeth((device) => new PacketPort(device, anyClock())),
});

checkPort({
  name: 'ring',
  reason: noRoot,
  lacks: {},
  make: onVeth((device) => new RingPort(device, anyClock())),
});

for (const mode of ['skb', 'native'] as const) {
  checkPort({
    name: `xdp (${mode})`,
    reason: noRoot,
    lacks: {
      superFrames: 'AF_XDP has no virtio headers',
      'segments into': 'what comes in as a super-frame cannot be cut: nothing tells where',
    },
    make: onVeth((device) => new XdpPort(device, anyClock(), { mode })),
  });
}

checkPort({
  name: 'pcap',
  reason: noRoot ?? noCap,
  lacks: {
    superFrames: 'libpcap has no virtio headers',
    'segments into': 'what comes in as a super-frame cannot be cut: nothing tells where',
  },
  make: async (mtu) => {
    const pair = await onVeth((device) => new PcapPort(device, anyClock(), { nodeArguments: ['--import', 'tsx'] }))(
      mtu,
    );
    try {
      await until(() => (pair.near as PcapPort).link === 'up', 'the child');
    } catch (error) {
      await pair.close();
      throw error;
    }
    return pair;
  },
});

checkPort({
  name: 'xdp (busy poll)',
  reason: noRoot,
  lacks: {
    superFrames: 'AF_XDP has no virtio headers',
    'segments into': 'what comes in as a super-frame cannot be cut: nothing tells where',
  },
  make: onVeth((device) => new XdpPort(device, anyClock(), { busyPoll: true })),
});

checkPort({
  name: 'tap',
  reason: noRoot,
  lacks: {},
  make: (mtu) =>
    inNetns((netns) => {
      netns.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
      const near = new TapPort('near', anyClock(), mtu);
      return [near, new PacketPort('near', anyClock())];
    }),
});

const streamLacks = { superFrames: 'the protocol has frames only' };

checkPort({
  name: 'stream (unix)',
  reason: null,
  lacks: streamLacks,
  make: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-stream-'));
    const pair = await streamPair({ path: join(folder, 'link') });
    const close = () => {
      void pair.close();
      rmSync(folder, { recursive: true, force: true });
    };
    return { ...pair, close };
  },
});

checkPort({
  name: 'stream (tcp)',
  reason: null,
  lacks: streamLacks,
  // Below the ports that the kernel gives to whoever wants any.
  make: () => streamPair({ host: '127.0.0.1', port: 20_000 + (process.pid % 12_000) }),
});

checkPort({
  name: 'captured',
  reason: null,
  lacks: {},
  make: async () => {
    const { near, far, close } = memoryPair();
    const captured = new CapturePort(near, anyClock(), { seconds: 1, nanoseconds: 0 });
    captured.start(new PcapngWriter(() => {}));
    return { near: captured, far, close };
  },
});

checkPort({
  name: 'faultless faulty',
  reason: null,
  lacks: {},
  make: async () => {
    const { near, far, close } = memoryPair();
    return { near: new FaultyPort(near, anyClock(), { seed: 1 }), far, close };
  },
});
