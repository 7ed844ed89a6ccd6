/**
 * Begins the page that the address names.
 */
import { redrawAll } from './chart.ts';
import { state } from './dom.ts';

// The token is in a cookie by now, and need not stand in the history.
if (state.has('token')) {
  state.delete('token');
  history.replaceState(null, '', `${location.pathname}${state.size > 0 ? `?${state}` : ''}`);
}

const root = document.documentElement;
const button = document.querySelector<HTMLButtonElement>('#theme')!;
const prefersDark = matchMedia('(prefers-color-scheme:dark)');
const isDark = () => (root.dataset.theme ?? (prefersDark.matches ? 'dark' : 'light')) === 'dark';
const coloured = () => {
  button.textContent = isDark() ? 'Light' : 'Dark';
  button.setAttribute('aria-label', `${button.textContent} colours`);
  redrawAll();
};
button.addEventListener('click', () => {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  try {
    localStorage.setItem('segfleet-theme', root.dataset.theme);
  } catch {}
  coloured();
});
prefersDark.addEventListener('change', coloured);
coloured();

const content = document.querySelector<HTMLElement>('#content')!;
const pages: Readonly<Record<string, () => Promise<{ show: (content: HTMLElement) => Promise<void> }>>> = {
  '/': () => import('./overview.ts'),
  '/run': () => import('./run.ts'),
  '/sweep': () => import('./sweep.ts'),
};
try {
  const { show } = await pages[location.pathname]();
  await show(content);
} catch (error) {
  content.textContent = (error as Error).message;
}
