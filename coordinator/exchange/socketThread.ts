/**
 * Threads that own sockets. A process that ends while a thread of it has some open is ended by an abort of libzmq, with another exit
 * code than its own: so the thread is told to close them, and the process waits until it is gone.
 */
import { existsSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

export interface SocketThread {
  readonly thread: Worker;
  readonly exited: Promise<void>;
}

/** What `workerData` has besides what the thread is given: a place for the kernel's number of the thread. */
interface Numbered {
  readonly threadId: SharedArrayBuffer;
}

const exitPatienceMs = 2000;

/**
 * @param module that which starts it; the thread's file lies beside it
 * @param close what tells the thread to close its sockets and return
 */
export function startThread(module: string, file: string, workerData: object, close: unknown): SocketThread {
  const threadId = new SharedArrayBuffer(4);
  const numbered: Numbered = { threadId };
  // The sources run as they are, what is published is JavaScript.
  const url = new URL(`./${file}.${module.endsWith('.js') ? 'js' : 'ts'}`, module);
  const thread = new Worker(url, { workerData: { ...workerData, ...numbered }, name: file });
  const atExit = () => {
    thread.postMessage(close);
    const [number] = new Int32Array(threadId);
    const begun = performance.now();
    while (existsSync(`/proc/self/task/${number}`) && performance.now() - begun < exitPatienceMs) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2); // nothing but time passes: a process that ends has no event loop
    }
  };
  process.on('exit', atExit);
  const exited = new Promise<void>(resolve => thread.once('exit', () => resolve())).then(() => void process.off('exit', atExit));
  return { thread, exited };
}

/** In the thread, first of all. */
export function numberThread(workerData: unknown): void {
  new Int32Array((workerData as Numbered).threadId)[0] = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
}
