import { expect, test } from 'vitest';
import { listenError } from '../../../coordinator/exchange/address.ts';

test.each([
  ['EADDRINUSE', 'conflict', 'tcp://127.0.0.1:80 is in use; give another port or name, or tcp://host:* for any free port'],
  ['EAGAIN', 'conflict', 'tcp://127.0.0.1:80 cannot be listened on, most likely because it is in use; give another port or name'],
  ['EACCES', 'notAllowed', 'tcp://127.0.0.1:80: permission denied; give a port above 1023 or a folder of your own'],
  ['EADDRNOTAVAIL', 'usage', 'tcp://127.0.0.1:80: this machine has no such address'],
])('a socket that cannot listen says why: %s', (reason, code, message) => {
  expect(listenError(Object.assign(new Error('bind'), { code: reason }), 'tcp://127.0.0.1:80')).toMatchObject({ code, message });
});
