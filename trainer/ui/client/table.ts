/**
 * A table that is sorted by its heads, and shows a page of rows at a time, however many there are.
 */
import { h } from './dom.ts';

export interface Column<T> {
  readonly name: string;
  readonly kind: 'text' | 'number';
  readonly value: (row: T) => string | number | undefined;
  /** @default the value as text */
  readonly show?: (row: T) => Node | string;
}

interface Shown<T> {
  readonly row: T;
  readonly element: HTMLTableRowElement;
}

const byText = new Intl.Collator('en', { numeric: true });
const pageRows = 50;

export class DataTable<T> {
  readonly element: HTMLElement;
  readonly #keyOf: (row: T) => string | number;
  readonly #columns: readonly Column<T>[];
  readonly #name: string;
  readonly #sorted: (sort: string) => void;
  readonly #body = h('tbody');
  readonly #pager = h('p', { class: 'pager' });
  readonly #heads: HTMLTableCellElement[];
  #rows: readonly T[] = [];
  /** On the page, by key. */
  #shown: ReadonlyMap<string | number, Shown<T>> = new Map();
  #sort: string;
  #first = 0;

  /** @param keyOf tells rows apart @param sort name of a column, after `-` where it falls */
  constructor(
    name: string,
    keyOf: (row: T) => string | number,
    columns: readonly Column<T>[],
    sort: string,
    sorted: (sort: string) => void = () => {},
  ) {
    this.#name = name;
    this.#keyOf = keyOf;
    this.#columns = columns;
    this.#sort = columns.some(column => column.name === sort.replace(/^-/, '')) ? sort : columns[0].name;
    this.#sorted = sorted;
    this.#heads = columns.map(({ name, kind }) =>
      h('th', { scope: 'col', class: kind }, h('button', { type: 'button', click: () => this.#by(name) }, name)),
    );
    this.element = h(
      'div',
      {},
      h(
        'div',
        { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': name },
        h('table', {}, h('thead', {}, h('tr', {}, ...this.#heads)), this.#body),
      ),
      this.#pager,
    );
  }

  /** @param rows objects that do not change: of what has, another one */
  set(rows: readonly T[]): void {
    this.#rows = rows;
    this.#show();
  }

  #by(name: string): void {
    const numeric = this.#columns.find(column => column.name === name)!.kind === 'number';
    const [once, twice] = numeric ? [`-${name}`, name] : [name, `-${name}`];
    this.#sort = this.#sort === once ? twice : once;
    this.#first = 0;
    this.#sorted(this.#sort);
    this.#show();
  }

  #show(): void {
    const falls = this.#sort.startsWith('-');
    const by = this.#columns.find(({ name }) => name === this.#sort.replace(/^-/, ''))!;
    for (const [i, head] of this.#heads.entries()) {
      if (this.#columns[i] === by) head.setAttribute('aria-sort', falls ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    }
    const keyed = this.#rows.map(row => ({ row, key: by.value(row) }));
    keyed.sort((a, b) => {
      // What there is nothing of comes last, whichever way.
      if (a.key === undefined || b.key === undefined) return a.key === b.key ? 0 : a.key === undefined ? 1 : -1;
      const order = typeof a.key === 'number' && typeof b.key === 'number' ? a.key - b.key : byText.compare(String(a.key), String(b.key));
      return falls ? -order : order;
    });
    this.#first = Math.min(this.#first, Math.max(0, Math.floor((keyed.length - 1) / pageRows) * pageRows));
    const shown = keyed.slice(this.#first, this.#first + pageRows);
    // Whoever stands on a link stays there when the rows come anew.
    const focused = this.#body.contains(document.activeElement) ? document.activeElement?.getAttribute('href') : undefined;
    this.#place(new Map(shown.map(({ row }) => [this.#keyOf(row), { row, element: this.#draw(row) }])));
    if (focused) for (const link of this.#body.querySelectorAll('a')) if (link.getAttribute('href') === focused) link.focus();
    this.#page(keyed.length);
  }

  /** A row that is on the page stays there, and gets the cells that are other than they were: laying out new ones is most of the work. */
  #draw(row: T): HTMLTableRowElement {
    const there = this.#shown.get(this.#keyOf(row));
    if (there?.row === row) return there.element;
    const cells = this.#columns.map(({ kind, value, show }, i) => {
      const content = show ? show(row) : String(value(row) ?? '–');
      return i === 0 ? h('th', { scope: 'row', class: kind }, content) : h('td', { class: kind }, content);
    });
    if (!there) return h('tr', {}, ...cells);
    const { element } = there;
    for (const [i, cell] of cells.entries()) if (!cell.isEqualNode(element.cells[i])) element.cells[i].replaceWith(cell);
    return element;
  }

  #place(rows: ReadonlyMap<string | number, Shown<T>>): void {
    for (const [key, { element }] of this.#shown) if (!rows.has(key)) element.remove();
    let next = this.#body.firstChild;
    for (const { element } of rows.values()) {
      if (element === next) next = next.nextSibling;
      else this.#body.insertBefore(element, next);
    }
    this.#shown = rows;
  }

  #page(total: number): void {
    if (total <= pageRows) return this.#pager.replaceChildren();
    const go = (text: string, first: number) =>
      h(
        'button',
        { type: 'button', disabled: first < 0 || first >= total, 'aria-label': `${text} of ${this.#name}`, click: () => this.#turn(first) },
        text,
      );
    this.#pager.replaceChildren(
      go('Previous', this.#first - pageRows),
      ` ${this.#first + 1} to ${Math.min(total, this.#first + pageRows)} of ${total} `,
      go('Next', this.#first + pageRows),
    );
  }

  #turn(first: number): void {
    this.#first = first;
    this.#show();
  }
}

type Kind = Column<never>['kind'];

/** A table that stays as it is. @param named whether the first cell of a row is its name */
export function plainTable(
  heads: readonly (readonly [name: string, kind: Kind])[],
  rows: readonly (readonly (string | number)[])[],
  { named = true } = {},
): HTMLTableElement {
  const head = ([name, kind]: (typeof heads)[number]) => (name === '' ? h('td') : h('th', { scope: 'col', class: kind }, name));
  const cell = (value: string | number, i: number) => {
    const [, kind] = heads[i];
    return named && i === 0 ? h('th', { scope: 'row', class: kind }, value) : h('td', { class: kind }, value);
  };
  return h('table', {}, h('thead', {}, h('tr', {}, ...heads.map(head))), h('tbody', {}, ...rows.map(row => h('tr', {}, ...row.map(cell)))));
}

/** Below a chart, for who does not see it. */
export const numbersOf = (table: HTMLTableElement): HTMLElement => h('details', {}, h('summary', {}, 'The numbers of this chart'), table);
