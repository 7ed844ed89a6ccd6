/**
 * How every number came about: without that it cannot be held against one from elsewhere.
 */
import { type Measured, metricCatalogue } from '../../metrics/catalogue.ts';
import type { Study } from '../arms.ts';
import { html } from '../html.ts';
import type { Section } from '../section.ts';
import { textCell } from '../table.ts';

export function conventions(studies: readonly Study[]): Section {
  const measured = new Map<string, Measured>();
  for (const { arms } of studies) {
    for (const one of arms[0].runs[0].scored.evaluation.metrics) measured.set(`${one.name} ${one.aggregation}`, one);
  }
  return {
    id: 'conventions',
    title: 'Conventions',
    parts: [
      {
        kind: 'text',
        text: html`<ul>${studies.map(({ title, arms }) => html`<li><strong>${title}:</strong> scored ${arms[0].runs[0].scored.evaluation.convention}.</li>`)}
<li>Masks are resized by nearest neighbour to the size of the network and scored there, unless training was on patches: then whole images are scored at their own size.</li>
<li>Mean ± sample standard deviation (n − 1), over the runs of an arm; an arm is all runs that differ only in their seeds. Of one run there is no deviation.</li></ul>`,
      },
      {
        kind: 'table',
        isFolded: true,
        table: {
          id: 'conventions',
          title: 'Every metric',
          columns: ['Metric', 'Better', 'Unit', 'How', 'After'].map(title => ({ title, kind: 'text' })),
          rows: [...measured.values()].map(({ name, convention, source, better, unit }) =>
            [metricCatalogue[name].title, better, unit, convention, source].map(textCell),
          ),
        },
      },
    ],
  };
}
