/**
 * The state of a run from one worker to a newcomer: in chunks, asked for one by one, the whole checked against its SHA-256 before
 * anything of it is used. Control sockets never carry it.
 */
import { hash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { Reply, Request } from 'zeromq';
import { z } from 'zod';
import { SegfleetError } from '../trainer/errors.ts';
import { bind, checkListen, listenError } from './exchange/address.ts';
import { behindGate, type Gate, openGate } from './exchange/gate.ts';
import type { RunKeys } from './exchange/keys.ts';

const chunkBytes = 2 ** 20;
/** The limit of a socket holds for a message as it travels: encryption adds 33 bytes (RFC 26). */
const maxMessageSize = chunkBytes + 1024;
/** A donor that does not answer for so long is given up; it may be another's turn by then. */
const answerWithinMs = 5000;

const requestSchema = z.strictObject({ run: z.string(), step: z.int(), offset: z.int().min(0) });
const answerSchema = z.strictObject({ step: z.int(), total: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

export interface Offer {
  readonly address: string;
  close(): Promise<void>;
}

export interface StateLink {
  readonly run: string;
  readonly keys?: RunKeys;
}

/** Answers whoever asks for the state of this step, until closed. @param listen as for a mesh */
export async function offerState(bytes: Uint8Array, step: number, listen: string, { run, keys }: StateLink): Promise<Offer> {
  await checkListen(listen, keys !== undefined, 'control');
  // The mesh of this generation may keep the gate of the process already.
  const gate: Gate | undefined = keys && (await openGate([keys.worker.publicKey]).catch(() => undefined));
  const socket = new Reply({
    linger: 0,
    handshakeInterval: 2000,
    maxMessageSize: 4096,
    ...(keys && { curveServer: true, curveSecretKey: keys.worker.secretKey, ...behindGate }),
  });
  try {
    await bind(socket, listen);
  } catch (error) {
    socket.close();
    await gate?.close();
    throw listenError(error, listen);
  }
  const answer = JSON.stringify({ step, total: bytes.length, sha256: hash('sha256', bytes) });
  const serving = (async () => {
    for await (const frames of socket) {
      const request = parse(requestSchema, frames[0]);
      const isOurs = request?.run === run && request.step === step && request.offset <= bytes.length;
      // A socket of this kind must answer; who asks for something else gets nothing.
      await socket.send(isOurs ? [answer, bytes.subarray(request.offset, request.offset + chunkBytes)] : ['']);
    }
  })().catch(() => {});
  return {
    address: socket.lastEndpoint!,
    close: async () => {
      socket.close();
      await serving;
      await gate?.close();
      if (listen.startsWith('ipc://')) await rm(listen.slice('ipc://'.length), { force: true });
    },
  };
}

/** @throws unavailable: the donor does not answer (any more); integrity: what came is not what was offered; the reason of the signal */
export async function fetchState(address: string, step: number, { run, keys }: StateLink, signal: AbortSignal): Promise<Buffer> {
  const socket = new Request({
    linger: 0,
    receiveTimeout: answerWithinMs,
    sendTimeout: answerWithinMs,
    maxMessageSize,
    ...(keys && { curveServerKey: keys.worker.publicKey, curvePublicKey: keys.worker.publicKey, curveSecretKey: keys.worker.secretKey }),
  });
  const close = () => socket.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    signal.throwIfAborted();
    socket.connect(address);
    const chunks: Buffer[] = [];
    let length = 0;
    for (;;) {
      await socket.send(JSON.stringify({ run, step, offset: length }));
      const [head, chunk] = await socket.receive();
      const answer = parse(answerSchema, head);
      if (answer?.step !== step || !chunk)
        throw new SegfleetError('unavailable', `the worker at ${address} no longer offers the state of step ${step}`);
      chunks.push(chunk);
      length += chunk.length;
      if (length < answer.total && chunk.length > 0) continue;
      const bytes = Buffer.concat(chunks);
      const sha256 = hash('sha256', bytes);
      if (sha256 === answer.sha256) return bytes;
      throw new SegfleetError(
        'integrity',
        `the state of step ${step} from ${address} has the SHA-256 ${sha256}, ${answer.sha256} was offered`,
      );
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SegfleetError) throw error;
    throw new SegfleetError('unavailable', `the worker at ${address} does not answer`, { cause: error });
  } finally {
    signal.removeEventListener('abort', close);
    if (!socket.closed) socket.close();
    // The file descriptors are free once the loop has turned.
    await wait(0);
  }
}

function parse<T>(schema: z.ZodType<T>, bytes: Buffer | undefined): T | undefined {
  try {
    return schema.parse(JSON.parse(bytes!.toString()));
  } catch {
    return undefined;
  }
}
