/** How what passes by has ended. */
export type Passed =
  | { readonly by: 'end' }
  | { readonly by: 'error'; readonly error: unknown }
  /** Whoever it was for has had enough. */
  | { readonly by: 'leaving' };

/** The same events, shown as they pass by, and then how they ended. */
export async function* passing<E, R>(
  events: AsyncGenerator<E, R>,
  take: (event: E) => void,
  ended: (how: Passed) => void | Promise<void>,
): AsyncGenerator<E, R> {
  let how: Passed = { by: 'leaving' };
  try {
    let next = await events.next();
    for (; !next.done; next = await events.next()) {
      take(next.value);
      yield next.value;
    }
    how = { by: 'end' };
    return next.value;
  } catch (error) {
    how = { by: 'error', error };
    throw error;
  } finally {
    await events.return(undefined as R);
    await ended(how);
  }
}
