/**
 * Who may connect: CURVE alone proves only that the peer knows the server's key, so a handler of ZeroMQ's authentication protocol (ZAP,
 * RFC 27) looks at the peer's own key. One a process, and bound before the first socket that listens; it serves all of them.
 */
import { setTimeout } from 'node:timers/promises';
import { Reply } from 'zeromq';
import { SegfleetError } from '../../trainer/errors.ts';

const address = 'inproc://zeromq.zap.01';

/** Options of every socket that listens behind the gate. Without a handler nobody comes in. */
export const behindGate = { zapDomain: 'segfleet', zapEnforceDomain: true } as const;

export interface Gate {
  close(): Promise<void>;
}

/**
 * @param allowed public keys, in the 40 characters of Z85
 * @throws conflict: where this process has a gate already
 */
export async function openGate(allowed: readonly string[]): Promise<Gate> {
  const keys = new Set(allowed.map(key => decodeZ85(key).toString('hex')));
  const socket = new Reply({ linger: 0 });
  await bind(socket);
  const serving = serve(socket, keys);
  return {
    close: async () => {
      // Not unbound before: that ends libzmq 4.3.5 by an assertion while sessions that asked the gate are being closed.
      socket.close();
      await serving;
    },
  };
}

/** The address of a gate that was closed is free again when libzmq has reaped it, some milliseconds later. */
const patienceMs = 1000;

async function bind(socket: Reply): Promise<void> {
  const begun = performance.now();
  for (;;) {
    try {
      return await socket.bind(address);
    } catch (cause) {
      if (performance.now() - begun < patienceMs) {
        await setTimeout(10);
        continue;
      }
      socket.close();
      throw new SegfleetError('conflict', 'this process checks keys already; close the other mesh or server first', { cause });
    }
  }
}

async function serve(socket: Reply, keys: ReadonlySet<string>): Promise<void> {
  for await (const [version, id, , , , mechanism, key] of socket) {
    const known = mechanism?.toString() === 'CURVE' && key !== undefined && keys.has(key.toString('hex'));
    await socket.send(known ? [version, id, '200', 'OK', 'worker', ''] : [version, id, '400', 'unknown key', '', '']);
  }
}

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** Five characters to four bytes (ZeroMQ RFC 32). The text has been checked before. */
function decodeZ85(text: string): Buffer {
  const bytes = Buffer.alloc((text.length / 5) * 4);
  for (let group = 0; group * 5 < text.length; group++) {
    const value = [...text.slice(group * 5, group * 5 + 5)].reduce((sum, character) => sum * 85 + alphabet.indexOf(character), 0);
    bytes.writeUInt32BE(value, group * 4);
  }
  return bytes;
}
