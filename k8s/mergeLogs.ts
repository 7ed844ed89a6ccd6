/**
 * Log lines of several pods as one stream in the order of their times. It knows nothing of pods: streams in, one stream out.
 */

export interface Timed {
  /** As Kubernetes writes it: RFC 3339 with up to nine digits after the second, in any time zone. */
  readonly time: string;
}

/** Since 1970. A number has not room for so many digits. */
export function nanosecondsOf(time: string): bigint {
  const [, seconds, fraction = '', zone] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/.exec(time) ?? [];
  if (seconds === undefined) return 0n;
  return BigInt(Date.parse(seconds + zone)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

export interface MergeOptions {
  /** How long a line waits for an earlier one of another stream. By default as long as another stream is open: the order is exact then. */
  readonly holdMs?: number;
  readonly now?: () => number;
}

interface Stream<T> {
  readonly lines: AsyncIterator<T>;
  /** The next line, when it is there. */
  head?: { readonly line: T; readonly time: bigint };
  /** Since when the next line is waited for. */
  since: number;
}

/**
 * The order within a stream stays as it is, whatever its times say. At most one line a stream is held.
 *
 * @param streams may go on coming: of pods that are new
 */
export async function* mergeByTime<T extends Timed>(
  streams: AsyncIterable<AsyncIterable<T>>,
  { holdMs = Number.POSITIVE_INFINITY, now = Date.now }: MergeOptions = {},
): AsyncGenerator<T> {
  const open = new Set<Stream<T>>();
  let mayComeMore = true;
  let failure: { readonly error: unknown } | undefined;
  let wake = () => {};
  const fail = (error: unknown) => {
    failure ??= { error };
    wake();
  };
  const pull = (stream: Stream<T>) => {
    stream.head = undefined;
    stream.since = now();
    stream.lines.next().then(({ done, value }) => {
      if (done) open.delete(stream);
      else stream.head = { line: value, time: nanosecondsOf(value.time) };
      wake();
    }, fail);
  };
  const take = async () => {
    for await (const lines of streams) {
      const stream: Stream<T> = { lines: lines[Symbol.asyncIterator](), since: 0 };
      open.add(stream);
      pull(stream);
    }
    mayComeMore = false;
    wake();
  };
  take().catch(fail);

  while (true) {
    if (failure) throw failure.error;
    let first: Stream<T> | undefined;
    let waitMs = mayComeMore && holdMs === Number.POSITIVE_INFINITY ? holdMs : 0;
    for (const stream of open) {
      if (!stream.head) waitMs = Math.max(waitMs, stream.since + holdMs - now());
      else if (!first?.head || stream.head.time < first.head.time) first = stream;
    }
    if (first?.head && waitMs <= 0) {
      const { line } = first.head;
      pull(first);
      yield line;
      continue;
    }
    if (open.size === 0 && !mayComeMore) return;
    const timer = first && Number.isFinite(waitMs) ? setTimeout(() => wake(), waitMs) : undefined;
    await new Promise<void>(resolve => {
      wake = resolve;
    });
    clearTimeout(timer);
  }
}
