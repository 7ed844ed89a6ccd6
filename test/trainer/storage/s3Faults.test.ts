/**
 * What an S3 server and the way to it can do wrong, each against our own server that does it when told.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type S3Options, s3Store } from '../../../trainer/storage/s3Store.ts';
import { type Fault, type S3Server, type Seen, startS3Server } from '../../tools/s3Server.ts';
import { setCredentials } from '../../tools/versitygw.ts';

let server: S3Server;
beforeAll(async () => {
  setCredentials();
  server = await startS3Server();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  server.objects.clear();
  server.requests.length = 0;
  server.fault = () => undefined;
});

const open = (options: S3Options = {}) => s3Store('s3://bucket/run', { endpoint: server.url, attempts: 3, ...options });
/** Where the server goes silent, a deadline that a test can wait for. */
const openFor = (...faults: readonly Fault[]) =>
  open(faults.some(fault => fault === 'silence' || fault === 'stalledBody') ? { deadlineMs: 400 } : {});
const object = Buffer.alloc(100_000, 'adaptive logarithmic loss ');
const put = (name: string, bytes = object) => server.objects.set(`bucket/run/${name}`, bytes);
const stored = (name: string) => server.objects.get(`bucket/run/${name}`)?.toString();
const methods = () => server.requests.map(({ method }) => method);

/** The faults in turn, one a request of the given kind; then none. */
function failing(method: string, ...faults: readonly (Fault | undefined)[]): void {
  const left = [...faults];
  server.fault = ({ method: asked, key }: Seen) => (asked === method && !key.includes('/.') ? left.shift() : undefined);
}
const always = (method: string, fault: Fault) => {
  server.fault = ({ method: asked, key }: Seen) => (asked === method && !key.includes('/.') ? fault : undefined);
};
const slowDown = { status: 503, code: 'SlowDown' };
const internalError = { status: 500, code: 'InternalError' };

describe('a fault that passes is not seen', () => {
  test.each<[string, Fault[]]>([
    ['errors of the server', [internalError, { status: 502, code: 'BadGateway' }]],
    ['a server that asks for less', [slowDown, { status: 429, code: 'TooManyRequests' }]],
    ['no answer', ['silence']],
    ['a connection that is closed', ['reset', 'reset']],
    ['a body that is cut', ['cutBody', 'cutBody']],
    ['a body that stalls', ['stalledBody']],
    ['a body with another checksum', ['flippedBit']],
    ['an error in the place of the object', ['errorBody', 'errorBody']],
  ])('in get: %s', async (_, faults) => {
    put('x');
    failing('GET', ...faults);
    expect((await openFor(...faults).get('x')).equals(object)).toBe(true);
    expect(methods()).toHaveLength(faults.length + 1);
  });

  test.each<[string, Fault[]]>([
    ['errors of the server', [internalError, slowDown]],
    ['no answer', ['silence']],
    ['a connection that is closed', ['reset']],
    ['an answer that is lost', [{ ...internalError, done: true }]],
    ['an error in the place of the answer', ['errorBody']],
  ])('in put: %s', async (_, faults) => {
    failing('PUT', ...faults);
    await openFor(...faults).put('x', object);
    expect(stored('x')).toBe(object.toString());
  });

  test('in list and delete', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(name);
    failing('GET', undefined, slowDown, 'reset');
    expect(await open().list()).toEqual(['a', 'b', 'c', 'd', 'e']);
    failing('DELETE', { ...internalError, done: true });
    await open().delete('a');
    expect(stored('a')).toBeUndefined();
  });
});

describe('a body that is cut is resumed, not begun again', () => {
  test('from where it ended, and of the same version', async () => {
    put('x');
    failing('GET', 'cutBody', 'cutBody');
    expect((await open().get('x')).equals(object)).toBe(true);
    const [first, second, third] = server.requests.map(({ headers }) => headers);
    expect(first.range).toBeUndefined();
    expect(second).toMatchObject({ range: 'bytes=50000-', 'if-match': expect.stringMatching(/^"[0-9a-f]{32}"$/) });
    expect(third).toMatchObject({ range: 'bytes=75000-', 'if-match': second['if-match'] });
  });

  test('a range too', async () => {
    put('x');
    failing('GET', 'cutBody');
    expect((await open().getRange('x', 1000, 600)).equals(object.subarray(1000, 1600))).toBe(true);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual(['bytes=1000-1599', 'bytes=1300-1599']);
  });

  test('begun again where the object was replaced meanwhile', async () => {
    put('x');
    const other = Buffer.alloc(40_000, 'dice ');
    server.fault = () => {
      if (server.requests.length === 1) return 'cutBody';
      if (server.requests.length === 2) put('x', other);
    };
    expect((await open().get('x')).equals(other)).toBe(true);
  });

  test('a server that knows no ranges sends all, and the part is taken from it', async () => {
    put('x');
    always('GET', 'ignoredRange');
    expect((await open().getRange('x', 1000, 600)).equals(object.subarray(1000, 1600))).toBe(true);
    failing('GET', 'cutBody', 'ignoredRange');
    expect((await open().get('x')).equals(object)).toBe(true);
  });
});

describe('a fault that stays is named after a bounded number of requests', () => {
  test.each<[string, Fault, string]>([
    ['an error of the server', internalError, 'after 3 attempts (InternalError: as told)'],
    ['a server that asks for less', slowDown, 'after 3 attempts (SlowDown: as told)'],
    ['no answer', 'silence', 'after 3 attempts ('],
    ['a connection that is closed', 'reset', 'after 3 attempts (ECONNRESET)'],
    ['an error in the place of the answer', 'errorBody', '; try again when the server answers'],
  ])('%s', async (_, fault, sentence) => {
    put('x');
    server.fault = () => fault;
    for (const call of [() => openFor(fault).get('x'), () => openFor(fault).put('x', object)]) {
      server.requests.length = 0;
      await expect(call()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(sentence) });
      expect(methods()).toHaveLength(3);
    }
  });

  test('bodies that are always cut, stall or have another checksum', async () => {
    put('x', object.subarray(0, 64));
    for (const [fault, code] of [
      ['cutBody', 'unavailable'],
      ['stalledBody', 'unavailable'],
      ['flippedBit', 'integrity'],
    ] as const) {
      server.requests.length = 0;
      always('GET', fault);
      await expect(openFor(fault).get('x')).rejects.toMatchObject({
        code,
        message: expect.stringContaining('s3://bucket/run/x: reading failed'),
      });
      expect(methods().length).toBe(3);
    }
  });

  test('nobody there', async () => {
    const nobody = s3Store('s3://bucket', { endpoint: 'http://127.0.0.1:9', attempts: 2 });
    await expect(nobody.get('x')).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('(ECONNREFUSED)') });
    await expect(nobody.putIfAbsent('x', object)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('what will not pass is not tried again', () => {
  test.each<[Fault & object, string, string]>([
    [{ status: 403, code: 'AccessDenied' }, 'notAllowed', 'is not allowed (AccessDenied: as told); check the credentials'],
    [{ status: 403, code: 'SignatureDoesNotMatch' }, 'notAllowed', 'SignatureDoesNotMatch'],
    [{ status: 400, code: 'ExpiredToken' }, 'notAllowed', 'ExpiredToken'],
    [{ status: 404, code: 'NoSuchBucket' }, 'notFound', 'there is no such bucket'],
    [{ status: 400, code: 'InvalidArgument' }, 'usage', 'was refused (InvalidArgument'],
    [{ status: 403, code: 'QuotaExceeded' }, 'resources', 'free some space'],
  ])('%j', async (fault, code, sentence) => {
    put('x');
    server.fault = () => fault;
    for (const call of [() => open().get('x'), () => open().put('x', object), () => open().list(), () => open().delete('x')]) {
      server.requests.length = 0;
      await expect(call()).rejects.toMatchObject({ code, message: expect.stringContaining(sentence) });
      expect(methods()).toHaveLength(1);
    }
  });

  test('no credentials and no region', async () => {
    const { AWS_ACCESS_KEY_ID: _, AWS_REGION, ...rest } = process.env;
    const saved = { ...process.env };
    const none = { AWS_CONFIG_FILE: '/nowhere/config', AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials' };
    try {
      process.env = { ...rest, ...none, AWS_REGION };
      await expect(open().get('x')).rejects.toMatchObject({
        code: 'notAllowed',
        message: expect.stringContaining('set AWS_ACCESS_KEY_ID'),
      });
      process.env = { ...saved, ...none };
      delete process.env.AWS_REGION;
      await expect(open().get('x')).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('set AWS_REGION') });
    } finally {
      process.env = saved;
    }
  });
});

describe('conditional writes', () => {
  test('one whose answer was lost is known to be ours', async () => {
    failing('PUT', { ...internalError, done: true });
    const store = open();
    expect(await store.putIfAbsent('x', object)).toBe(true);
    const { version } = await store.getVersioned('x');
    failing('PUT', { ...internalError, done: true });
    expect(await store.putIfMatch('x', Buffer.from('next'), version)).toBe(true);
    expect(stored('x')).toBe('next');
  });

  test('one that lost is not', async () => {
    put('x', Buffer.from('of another'));
    failing('PUT', internalError);
    expect(await open().putIfAbsent('x', object)).toBe(false);
    expect(stored('x')).toBe('of another');
  });

  test('one that came at the same time as another is tried again', async () => {
    const busy = { status: 409, code: 'ConditionalRequestConflict' };
    failing('PUT', busy, busy);
    expect(await open().putIfAbsent('x', object)).toBe(true);
    failing('PUT', busy);
    expect(await open().putIfAbsent('x', Buffer.from('later'))).toBe(false);
    always('PUT', busy);
    await expect(open().putIfAbsent('y', object)).rejects.toMatchObject({ code: 'conflict' });
  });

  test.each<Fault>(['ignoredConditions', { status: 501, code: 'NotImplemented' }])(
    'a server that does not heed them is refused: %j',
    async fault => {
      put('x', Buffer.from('of another'));
      server.fault = () => fault;
      const store = open({ attempts: 1 });
      for (const call of [() => store.putIfAbsent('x', object), () => store.putIfMatch('x', object, '"0"')])
        await expect(call()).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('ignores conditions on writes') });
      expect(stored('x')).toBe('of another');
    },
  );

  test('whether it heeds them is asked once', async () => {
    const store = open();
    for (const name of ['a', 'b', 'c']) expect(await store.putIfAbsent(name, object)).toBe(true);
    expect(server.requests.map(({ key }) => key.split('/').at(-1))).toEqual([...Array(3).fill('.segfleet-conditions'), 'a', 'b', 'c']);
    server.requests.length = 0;
    expect(await open().putIfAbsent('d', object)).toBe(true); // what the first left there saves a request
    expect(server.requests).toHaveLength(3);
  });
});

describe('objects of several parts', () => {
  const partBytes = 5 * 2 ** 20;
  const large = Buffer.alloc(partBytes + 1000, 'focusnet ');
  const isCompletion = ({ method, query }: Seen) => method === 'POST' && query.has('uploadId');

  test('an error in a 200 is an error, tried again', async () => {
    let left = 1;
    server.fault = seen => (isCompletion(seen) && left-- > 0 ? 'errorBody' : undefined);
    await open({ partBytes }).put('x', large);
    expect(server.objects.get('bucket/run/x')!.equals(large)).toBe(true);
  });

  test('one that was completed although the answer was lost is there', async () => {
    let left = 1;
    server.fault = seen => (isCompletion(seen) && left-- > 0 ? { ...internalError, done: true } : undefined);
    expect(await open({ partBytes }).putIfAbsent('x', large)).toBe(true);
    expect(server.objects.get('bucket/run/x')!.equals(large)).toBe(true);
  });

  test('one that fails leaves no parts behind', async () => {
    server.fault = seen => (isCompletion(seen) ? { status: 403, code: 'AccessDenied' } : undefined);
    await expect(open({ partBytes }).put('x', large)).rejects.toMatchObject({ code: 'notAllowed' });
    expect(server.requests.at(-1)).toMatchObject({ method: 'DELETE' });
  });
});

test('a signal ends a call that waits, at once and with its reason', async () => {
  put('x');
  for (const fault of ['silence', 'stalledBody', internalError] as const) {
    server.fault = () => fault;
    const patient = open({ deadlineMs: 600_000, attempts: 1000 });
    const stop = new AbortController();
    const calls = [patient.get('x', { signal: stop.signal }), patient.list('', { signal: stop.signal })];
    const ends = calls.map(call => expect(call).rejects.toThrow('stop now'));
    while (server.requests.length < 2) await new Promise(setImmediate);
    server.requests.length = 0;
    stop.abort(new Error('stop now'));
    await Promise.all(ends);
  }
});
