/**
 * The logs of the runs that somebody looks at, read as they grow. Of other runs nothing is kept.
 */
import { StringDecoder } from 'node:string_decoder';
import { runFiles, type Source, type Stamp } from './source.ts';
import { Steps } from './steps.ts';

const pieceBytes = 1024 * 1024;
/** Together; the one that is looked at stays in any case. */
const mostBytes = 128 * 1024 * 1024;

interface Open {
  steps: Steps;
  offset: number;
  identity: string;
  text: string;
  decoder: StringDecoder;
  /** The line that is being written. */
  rest: string;
}

export class Logs {
  readonly #source: Source;
  /** The one that was asked for last is the last. */
  readonly #open = new Map<string, Open>();
  readonly #reading = new Map<string, Promise<Steps>>();

  constructor(source: Source) {
    this.#source = source;
  }

  /** Up to the last whole line that is there now. */
  stepsOf(id: string): Promise<Steps> {
    const before = this.#reading.get(id);
    if (before) return before;
    const reading = this.#read(id).finally(() => this.#reading.delete(id));
    this.#reading.set(id, reading);
    return reading;
  }

  forget(id: string): void {
    this.#open.delete(id);
  }

  async #read(id: string): Promise<Steps> {
    const stamp = await this.#source.stamp(id, runFiles.events);
    const log = this.#logOf(id, stamp);
    if (stamp && stamp.text !== log.text) {
      for (;;) {
        const bytes = await this.#source.readFrom(id, runFiles.events, log.offset, pieceBytes);
        if (bytes.length === 0) break;
        log.offset += bytes.length;
        const lines = (log.rest + log.decoder.write(bytes)).split('\n');
        log.rest = lines.pop()!;
        for (const line of lines) log.steps.takeLine(line);
      }
      log.text = stamp.text;
    }
    this.#open.delete(id);
    this.#open.set(id, log);
    this.#makeRoom();
    return log.steps;
  }

  /** A run that is resumed writes a new file; so does a copy, whose begin may be another. */
  #logOf(id: string, stamp: Stamp | undefined): Open {
    const log = this.#open.get(id);
    const isSame = log && stamp && log.identity === stamp.identity && stamp.bytes >= log.offset && stamp.identity !== '';
    if (log && (isSame || log.text === stamp?.text)) return log;
    return { steps: new Steps(), offset: 0, identity: stamp?.identity ?? '', text: '', decoder: new StringDecoder('utf8'), rest: '' };
  }

  #makeRoom(): void {
    let bytes = [...this.#open.values()].reduce((sum, { steps }) => sum + steps.bytes, 0);
    for (const [id, { steps }] of [...this.#open].slice(0, -1)) {
      if (bytes <= mostBytes) return;
      bytes -= steps.bytes;
      this.#open.delete(id);
    }
  }
}
