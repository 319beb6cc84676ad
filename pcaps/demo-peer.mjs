// One end of the live demo: `node demo-peer.mjs vm CLIENT` or `node demo-peer.mjs client NAME VM`, which sends each line of its
// standard input as an order.
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';

const DATA = 7000;
const ORDERS = 7001;
const READINGS_MS = 250;
const [role, ...rest] = process.argv.slice(2);
// All ends speak of the same moment as the beginning.
const begin = Number(process.env.DEMO_BEGIN);
const time = () => `${((Date.now() - begin) / 1000).toFixed(1).padStart(5)} s`;

if (role === 'vm') {
  const [client] = rest;
  const socket = createSocket('udp4');
  socket.on('message', (order, from) => socket.send(`${order} is accepted`, from.port, from.address));
  socket.bind(ORDERS);
  let reading = 0;
  setInterval(() => socket.send(`reading ${++reading}`, DATA, client), READINGS_MS);
} else {
  const [name, vm] = rest;
  const say = (text) => console.log(`${time()}  ${name.padEnd(6)} ${text}`);
  const feed = createSocket('udp4');
  let readings = 0;
  feed.on('message', () => readings++);
  feed.bind(DATA);
  setInterval(() => {
    if (name === 'alice') say(readings > 0 ? `${readings} readings came` : 'no reading came');
    readings = 0;
  }, 1000);
  const desk = createSocket('udp4');
  desk.on('message', (answer) => say(`"${answer}"`));
  createInterface({ input: process.stdin }).on('line', (order) => {
    say(`sends ${order}`);
    desk.send(order, ORDERS, vm);
  });
}
