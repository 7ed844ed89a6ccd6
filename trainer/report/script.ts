/**
 * What the page can do where scripts run, and does without where they do not: tables sorted by a column, and the other of light and dark.
 */
export const script = `
'use strict';
const root = document.documentElement;
const isDark = () => (root.dataset.theme ?? (matchMedia('(prefers-color-scheme:dark)').matches ? 'dark' : 'light')) === 'dark';
const button = document.createElement('button');
button.type = 'button';
button.className = 'switch';
const label = () => { button.textContent = isDark() ? 'Light' : 'Dark'; button.setAttribute('aria-label', button.textContent + ' colours'); };
button.addEventListener('click', () => { root.dataset.theme = isDark() ? 'light' : 'dark'; label(); });
matchMedia('(prefers-color-scheme:dark)').addEventListener('change', label);
label();
document.querySelector('.top').append(button);

const valueOf = cell => {
  const text = cell.dataset.value ?? cell.textContent;
  const number = Number.parseFloat(text.replaceAll('\\u2212', '-'));
  return Number.isNaN(number) ? text : number;
};
const compare = (a, b) => {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
};
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries()) {
    const sort = document.createElement('button');
    sort.type = 'button';
    sort.append(...head.childNodes);
    head.append(sort);
    sort.addEventListener('click', () => {
      const direction = head.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', direction);
      const isNumber = head.classList.contains('text') === false;
      const key = row => (isNumber ? valueOf(row.cells[column]) : row.cells[column].textContent);
      const rows = [...table.tBodies[0].rows].sort((a, b) => compare(key(a), key(b)));
      table.tBodies[0].append(...(direction === 'ascending' ? rows : rows.reverse()));
    });
  }
}
`;
