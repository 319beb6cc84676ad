import { connect, type Socket } from 'node:net';

/**
 * Connects by TCP.
 * @param enter called before the socket is made, `leave` after: it belongs to the network between them
 */
export function connectIn(host: string, port: number, enter: () => void, leave: () => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    enter();
    const socket = connect({ host, port, noDelay: true });
    // Node makes it in the next tick.
    setImmediate(leave);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
