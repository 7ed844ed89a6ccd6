/**
 * Elements from values. Text is only ever set as text, so that no name is markup.
 */

type Child = Node | string | number | undefined | false;
type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: Event) => void)>>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  return filled(document.createElement(tag), attributes, children);
}

export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

/** @param attributes functions are called at the event of their name; false and undefined are not set */
function filled<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(
    ...children.filter(child => child !== undefined && child !== false).map(child => (child instanceof Node ? child : String(child))),
  );
  return element;
}

export const hidden = (text: string): HTMLElement => h('span', { class: 'hidden' }, text);

/** The state of the page is in its address. */
export const state = new URLSearchParams(location.search);
export function remember(name: string, value: string | undefined): void {
  if (value === undefined || value === '') state.delete(name);
  else state.set(name, value);
  const query = state.toString();
  history.replaceState(null, '', `${location.pathname}${query === '' ? '' : `?${query}`}`);
}

/** @throws what the server says is wrong */
export async function ask<T>(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): Promise<T> {
  const response = await fetch(address(path, query));
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

export function address(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(query).filter((pair): pair is [string, string | number] => pair[1] !== undefined);
  return `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** A choice of one of a few. */
export function choice<T extends string>(
  label: string,
  options: readonly (readonly [value: T, name: string])[],
  chosen: T,
  change: (value: T) => void,
): HTMLElement {
  const select = h(
    'select',
    { change: () => change(select.value as T) },
    ...options.map(([value, name]) => h('option', { value, selected: value === chosen }, name)),
  );
  return h('label', { class: 'choice' }, `${label} `, select);
}

/** @param file to save it under */
export function save(file: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h('a', { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** What a shell takes for one word. */
export const quoted = (word: string): string =>
  /^[\w./:@%+=-]+$/.test(word) && !word.startsWith('-') ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** A command that shows the same, to be copied. */
export function command(...words: readonly string[]): HTMLElement {
  const text = ['segfleet', ...words.map(quoted)].join(' ');
  const button = h('button', { type: 'button', class: 'copy', click: () => void copy() }, 'Copy', hidden(` the command ${text}`));
  const copy = async () => {
    await navigator.clipboard.writeText(text).then(
      () => button.replaceChildren('Copied', hidden(` the command ${text}`)),
      () => getSelection()?.selectAllChildren(code),
    );
  };
  const code = h('code', {}, text);
  return h('p', { class: 'command' }, code, ' ', button);
}
