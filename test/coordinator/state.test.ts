/**
 * The state of a run on its way to a newcomer.
 */
import { expect, test } from 'vitest';
import { curveKeyPair } from 'zeromq';
import { fetchState, offerState } from '../../coordinator/state.ts';
import { uniform } from '../tools/numbers.ts';

/** Two whole chunks of a mebibyte, and the beginning of a third. */
const bytes = Buffer.from(uniform(2 ** 19 + 5, 'state').buffer);

test('comes over a network in chunks, encrypted', async () => {
  const keys = { version: 1, run: 'test', coordinator: curveKeyPair(), worker: curveKeyPair() } as const;
  const link = { run: 'test', keys };
  const offer = await offerState(bytes, 7, 'tcp://127.0.0.1:*', link);
  try {
    expect((await fetchState(offer.address, 7, link, new AbortController().signal)).equals(bytes)).toBe(true);
  } finally {
    await offer.close();
  }
});
