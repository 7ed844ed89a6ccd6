/**
 * Event files, read strictly: every length and checksum must be right, but for a last record that was cut off.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EventProto, EventType, maskedCrc } from '../../trainer/tracking/tensorboardProto.ts';

const filesIn = (folder: string) =>
  readdirSync(folder)
    .sort()
    .map(name => join(folder, name));

/** All events of a folder, in order. @throws Error: a record is damaged */
export function readEventFiles(folder: string): EventProto[] {
  return filesIn(folder).flatMap(file => {
    const bytes = readFileSync(file);
    const events: EventProto[] = [];
    for (let at = 0; at + 12 <= bytes.length; ) {
      const length = Number(bytes.readBigUInt64LE(at));
      if (maskedCrc(bytes.subarray(at, at + 8)) !== bytes.readUInt32LE(at + 8)) throw new Error(`${file}: a length is damaged at ${at}`);
      const end = at + 12 + length;
      if (end + 4 > bytes.length) break;
      const payload = bytes.subarray(at + 12, end);
      if (maskedCrc(payload) !== bytes.readUInt32LE(end)) throw new Error(`${file}: an event is damaged at ${at}`);
      events.push(EventType.toObject(EventType.decode(payload), { longs: Number, defaults: false }) as EventProto);
      at = end + 4;
    }
    if (events[0]?.fileVersion !== 'brain.Event:2') throw new Error(`${file} does not begin with its version`);
    return events;
  });
}

/** By tag, each value with its step, without those that a later process has done again. */
export function scalarsIn(events: readonly EventProto[]): Record<string, [number, number][]> {
  const scalars: Record<string, [number, number][]> = {};
  for (const { step = 0, sessionLog, summary } of events) {
    if (sessionLog) for (const [tag, values] of Object.entries(scalars)) scalars[tag] = values.filter(([of]) => of < step);
    for (const { tag, simpleValue } of summary?.value ?? []) {
      if (simpleValue === undefined) continue;
      scalars[tag] ??= [];
      scalars[tag].push([step, simpleValue]);
    }
  }
  return scalars;
}
