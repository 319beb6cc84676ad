import { PacketPort } from '../../gateway/port/packet.ts';
import { PcapPort } from '../../gateway/port/pcap.ts';
import { anyClock, brief, frameOf, PortHand } from '../gateway/port/hands.ts';
import { leaveNetns, Netns } from '../support/netns.ts';

const n = new Netns('pc');
n.enter();
n.veth('near', n, 'far');
const near = new PcapPort('near', anyClock(), { nodeArguments: ['--import', 'tsx'] });
const far = new PacketPort('far', anyClock());
for (let i = 0; i < 30 && near.link !== 'up'; i++) {
  await new Promise((r) => setTimeout(r, 100));
}
console.log(near.link, near.trouble);
const h = new PortHand(near),
  f = new PortHand(far);
await h.send([frameOf(64, 1), frameOf(1514, 2), frameOf(14, 1)]);
await f.send([frameOf(64, 3), frameOf(1514, 4), frameOf(100, 5, [[0x8100, 5]])]);
console.log((await f.takeFor(300)).map(brief), (await h.takeFor(300)).map(brief), near.counters.byName());
near.close();
far.close();
leaveNetns();
n.delete();
