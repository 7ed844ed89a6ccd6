import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type FromCoordinator,
  type FromWorker,
  maxMessageBytes,
  readFromCoordinator,
  readFromWorker,
  writeMessage as write,
} from '../../coordinator/messages.ts';

const writeMessage = (message: FromWorker | FromCoordinator): Buffer => Buffer.from(write(message));
const session = { process: '3b241101-e2bb-4255-8caf-4136c566a962', attempt: 0 };
const fromWorker = (body: FromWorker['body']): FromWorker => ({ version: 1, run: 'r', id: 'w0', session, body });
const heartbeat = fromWorker({ type: 'heartbeat', generation: 1, step: 2, started: 3, prepared: 0, stalledMs: 4 });
const digests = { job: 'j', code: 'c', data: 'd', library: 'l' };
const committed = { generation: 1, step: 7, digest: 'd', checkpoint: false };

const workerBodies: FromWorker['body'][] = [
  {
    type: 'join',
    incarnation: 0,
    term: 0,
    digests,
    capacity: 2,
    holds: { step: 3, digest: 'x', epoch: 1, next: 8, finished: false },
  },
  { type: 'join', incarnation: 0, term: 0, digests, capacity: 2 },
  heartbeat.body,
  { type: 'listening', generation: 1, address: 'tcp://10.0.0.1:5000' },
  {
    type: 'prepared',
    generation: 1,
    step: 3,
    digest: 'x',
    samples: { epoch: 1, first: 0, count: 4, of: 50 },
    after: 'next',
    seconds: 0.5,
    lateMs: [0, 12.5],
  },
  { type: 'applied', step: 3, report: '{"loss":0.5}' },
  { type: 'reports', from: 2, until: 3, reports: [{ step: 3, report: '{"loss":0.5}' }] },
  { type: 'offering', step: 3, address: 'ipc:///tmp/x/y' },
  { type: 'holding', holds: { step: 3, digest: 'x', epoch: 1, next: 8, finished: true } },
  { type: 'saved', generation: 1, step: 3, rank: 0, size: 2, share: '{}' },
  { type: 'failed', generation: 1, step: 3, code: 'diverged', sentence: 'the loss is NaN', images: ['a.png'] },
  { type: 'unreachable', generation: 1, rank: 2 },
  { type: 'unfetched', address: 'tcp://10.0.0.1:5000' },
  { type: 'leave' },
  { type: 'gone' },
];
const coordinatorBodies: FromCoordinator['body'][] = [
  { type: 'welcome' },
  { type: 'alive' },
  { type: 'refuse', reason: 'duplicate', sentence: 'another worker is called w0' },
  { type: 'assign', generation: 1, rank: 0, ranges: [{ start: 0, end: 4 }], committed },
  { type: 'start', generation: 1, step: 8, peers: ['tcp://10.0.0.1:5000'] },
  { type: 'commit', committed },
  { type: 'abort', generation: 1, committed },
  { type: 'report', from: 3 },
  { type: 'offerState', step: 7 },
  { type: 'fetchState', step: 7, address: 'tcp://10.0.0.1:5000' },
  { type: 'end', code: 'left', sentence: 'left the run between two steps' },
];

test.each(workerBodies)('a $type of a worker is read as it was written', body => {
  const message = fromWorker(body);
  expect(readFromWorker([writeMessage(message)], 'r')).toEqual({ message });
});

test.each(coordinatorBodies)('a $type of the coordinator is read as it was written', body => {
  const message: FromCoordinator = { version: 1, run: 'r', term: 1, session, body };
  expect(readFromCoordinator([writeMessage(message)], 'r')).toEqual({ message });
});

describe('what is dropped, and under which name', () => {
  const changed = (change: object) => [Buffer.from(JSON.stringify({ ...heartbeat, ...change }))];
  test.each([
    ['no frame', [], 'parts'],
    ['two frames', [writeMessage(heartbeat), Buffer.alloc(0)], 'parts'],
    ['a byte over the limit', [Buffer.alloc(maxMessageBytes + 1, ' ')], 'size'],
    ['no JSON', [Buffer.from('{')], 'json'],
    ['an empty frame', [Buffer.alloc(0)], 'json'],
    ['bytes that are no UTF-8', [Buffer.from([0x22, 0xff, 0x22])], 'json'],
    ['null', [Buffer.from('null')], 'version'],
    ['another version', changed({ version: 2 }), 'version'],
    ['another run', changed({ run: 'other' }), 'run'],
    ['a field that nobody knows', changed({ extra: 1 }), 'shape'],
    ['a name with a slash', changed({ id: '../w0' }), 'shape'],
    ['a kind that nobody knows', changed({ body: { type: 'shutdown' } }), 'shape'],
    ['a step below 0', changed({ body: { ...heartbeat.body, step: -1 } }), 'shape'],
    ['a step that is no whole number', changed({ body: { ...heartbeat.body, step: 1.5 } }), 'shape'],
    ['a step beyond what a number can hold', changed({ body: { ...heartbeat.body, step: 1e300 } }), 'shape'],
    ['a report that is too long', changed({ body: { type: 'applied', step: 1, report: 'x'.repeat(20_001) } }), 'shape'],
    ['a prototype', [Buffer.from(JSON.stringify(heartbeat).replace('{', '{"__proto__":{"id":"x"},'))], 'shape'],
    ['a word of the coordinator', changed({ body: { type: 'welcome' } }), 'shape'],
  ])('%s', (_, frames, malformed) => {
    expect(readFromWorker(frames, 'r')).toEqual({ malformed });
  });
});

test('what is too large to be read is not sent either', () => {
  const share = '\u0000'.repeat(60_000); // six bytes each as JSON
  expect(() => writeMessage(fromWorker({ type: 'saved', generation: 1, step: 1, rank: 0, size: 1, share }))).toThrow(
    /a saved message of \d+ bytes is over the limit/,
  );
});

// FUZZ_RUNS=1000 while working on it.
const numRuns = Number(process.env.FUZZ_RUNS ?? 300_000);

test('whatever bytes come, reading never throws, and lets in only what it would write', { timeout: 60_000 + numRuns }, () => {
  const valid = fc.constantFrom(...workerBodies).map(body => writeMessage(fromWorker(body)));
  const damaged = fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }), fc.nat(400), fc.boolean())
    .map(([bytes, changes, length, cut]) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of changes) copy[at % copy.length] = value;
      return cut ? copy.subarray(0, length) : copy;
    });
  const json = fc.json().map(text => Buffer.from(text));
  const spliced = fc
    .tuple(fc.jsonValue(), fc.constantFrom(...Object.keys(heartbeat), 'type', 'step', '__proto__', 'constructor'))
    .map(([value, key]) => {
      const target = key in heartbeat ? { ...heartbeat, [key]: value } : { ...heartbeat, body: { ...heartbeat.body, [key]: value } };
      return Buffer.from(JSON.stringify(target));
    });
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array)),
    damaged,
    json,
    spliced,
  );
  fc.assert(
    fc.property(bytes, frame => {
      for (const read of [readFromWorker, readFromCoordinator]) {
        const result = read([frame], 'r');
        if ('message' in result) expect(read([writeMessage(result.message)], 'r')).toEqual(result);
      }
    }),
    { numRuns },
  );
});
