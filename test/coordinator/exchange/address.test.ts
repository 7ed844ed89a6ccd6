import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { bind, listenError } from '../../../coordinator/exchange/address.ts';

test.each([
  ['EADDRINUSE', 'conflict', 'tcp://127.0.0.1:80 is in use; give another port or name, or tcp://host:* for any free port'],
  ['EAGAIN', 'conflict', 'tcp://127.0.0.1:80 cannot be listened on, most likely because it is in use; give another port or name'],
  ['EACCES', 'notAllowed', 'tcp://127.0.0.1:80: permission denied; give a port above 1023 or a folder of your own'],
  ['EADDRNOTAVAIL', 'usage', 'tcp://127.0.0.1:80: this machine has no such address'],
])('a socket that cannot listen says why: %s', (reason, code, message) => {
  expect(listenError(Object.assign(new Error('bind'), { code: reason }), 'tcp://127.0.0.1:80')).toMatchObject({ code, message });
});

test('where libzmq has lost the reason, the system says it', async () => {
  const lost = { bind: () => Promise.reject(Object.assign(new Error('bind'), { code: 'EAGAIN' })) };
  const server = createServer();
  const port = await new Promise<number>(resolve =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  await expect(bind(lost, `tcp://127.0.0.1:${port}`)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  server.close();
  await expect(bind(lost, 'tcp://192.0.2.1:*')).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  await expect(bind(lost, 'tcp://[2001:db8::1]:5000')).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  await expect(bind(lost, 'tcp://127.0.0.1:*')).rejects.toMatchObject({ code: 'EAGAIN' });
  await expect(bind(lost, 'ipc:///tmp/folder/name')).rejects.toMatchObject({ code: 'EAGAIN' });
});
