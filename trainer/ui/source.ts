/**
 * Where the live page looks for runs: a folder, or a store. Both give the files of a run folder by name; what is not there is undefined.
 */

/** Of a file: another text where its bytes may be others. */
export interface Stamp {
  readonly text: string;
  readonly bytes: number;
  /** Milliseconds since 1970, where it is known. */
  readonly changedAt?: number;
  /** Where this changes it is another file, and not one that has grown. */
  readonly identity: string;
}

export interface Found {
  /** Relative to the place; `.` for itself. */
  readonly id: string;
  readonly kind: 'run' | 'sweep';
}

export interface Source {
  /** As the user named it. */
  readonly place: string;
  /** Where commands find what has this id. */
  pathOf(id: string): string;
  find(): Promise<readonly Found[]>;
  /** @param name of a file in a run folder or sweep, its parts joined by `/` */
  stamp(id: string, name: string): Promise<Stamp | undefined>;
  read(id: string, name: string): Promise<Buffer | undefined>;
  /** What stands from there on, at most so many bytes. */
  readFrom(id: string, name: string, offset: number, length: number): Promise<Buffer>;
  /** Whether the process that wrote there is gone; undefined where that cannot be told. */
  isForsaken(id: string): Promise<boolean | undefined>;
  /** Only of a folder: what needs all of a sweep is read from there. */
  readonly folder?: string;
}

/** The files of a run that say how it goes. */
export const runFiles = { record: 'run.json', results: 'results.csv', events: 'metrics.ndjson' } as const;
