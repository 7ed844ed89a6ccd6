/**
 * `segfleet ui`: the live page of the runs and sweeps in a folder, or of the copies of runs in a store.
 */
import { randomBytes } from 'node:crypto';
import { schemeOf } from '../storage/openStore.ts';
import { Fleet } from './fleet.ts';
import { folderSource } from './folderSource.ts';
import { Logs } from './logs.ts';
import { serveFleet } from './server.ts';
import { storeSource } from './storeSource.ts';

export interface UiOptions {
  /** A folder, or the URL of a store. */
  readonly place: string;
  readonly port: number;
  readonly now?: () => number;
  /** How often it is looked for what is new. @default 1000, of a store 5000 */
  readonly everyMs?: number;
}

export interface Ui {
  readonly url: string;
  readonly place: string;
  readonly runs: number;
  readonly sweeps: number;
  readonly fleet: Fleet;
  close(): Promise<void>;
}

/** @throws notFound: no such folder; conflict: the port is in use; usage, unavailable, notAllowed: of the store */
export async function serveUi({ place, port, now = Date.now, everyMs }: UiOptions): Promise<Ui> {
  const isStore = schemeOf(place) !== undefined;
  const source = isStore ? await storeSource(place, now) : folderSource(place);
  // A store that cannot be reached is told at once, and not as a page that stays empty.
  if (isStore) await source.find();
  const every = everyMs ?? (isStore ? 5000 : 1000);
  const fleet = new Fleet(source, { now, everyMs: every, allEveryMs: isStore ? 6 * every : 3 * every });
  const server = await serveFleet({ boot: randomBytes(6).toString('base64url'), fleet, logs: new Logs(source) }, port);
  await fleet.start();
  const { runs, sweeps } = fleet.since();
  return {
    url: server.url,
    place,
    runs: runs.length,
    sweeps: sweeps.length,
    fleet,
    close: async () => {
      await fleet.close();
      await server.close();
    },
  };
}
