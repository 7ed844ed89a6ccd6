/**
 * Dashboard: how the losses converge, side by side. Units differ between losses, so what is compared is the normalised loss and the scores.
 */
import { scoreNames } from '../../trainer/tracking/catalogue.ts';
import type { Dashboard } from './dashboard.ts';
import { by, type MetricName, metric, withInfo } from './queries.ts';

const chosen = { namespace: '$namespace', run: '$run' } as const;
const info = metric('run_info', { ...chosen, loss: '$loss', dataset: '$dataset', model: '$model', sweep: '$sweep' });

/** The chosen runs, with the loss of each. */
const ofRuns = (expression: string) => withInfo(expression, ['loss', 'dataset'], info);
const byLoss = (how: 'avg' | 'min' | 'max' | 'sum', expression: string) => by(how, ['loss'], ofRuns(expression));
const byRun = (expression: string) => by('max', ['namespace', 'run', 'loss'], ofRuns(expression));

/** The mean over the runs of a loss, and how far they reach. */
const spread = (expression: string) => [
  { expression: byLoss('avg', expression), legend: '{{loss}}' },
  { expression: byLoss('min', expression), legend: '{{loss}}, lowest' },
  { expression: byLoss('max', expression), legend: '{{loss}}, highest' },
];

const score = metric('validation_score_ratio', { ...chosen, metric: '$metric', over: 'pooled' });
const jaccard = metric('validation_score_ratio', { ...chosen, metric: 'jaccard', over: 'pooled' });
const best = metric('best_validation_jaccard_ratio', chosen);
const normalised = (split: 'training' | 'validation') => metric('loss_normalised_ratio', { ...chosen, split });

const choice = (name: 'namespace' | 'dataset' | 'model' | 'loss' | 'sweep' | 'run', label: string, among: Record<string, string> = {}) => ({
  name,
  label,
  of: ['run_info' satisfies MetricName, name] as const,
  among,
});

export const convergence: Dashboard = {
  name: 'convergence',
  title: 'segfleet: convergence by loss',
  about: 'Losses side by side: how fast and how far each converges, how steadily, and what ALL does meanwhile.',
  choices: [
    choice('namespace', 'Namespace'),
    choice('dataset', 'Data set', { namespace: '$namespace' }),
    choice('model', 'Network', { namespace: '$namespace', dataset: '$dataset' }),
    choice('loss', 'Loss', { namespace: '$namespace', dataset: '$dataset', model: '$model' }),
    choice('sweep', 'Sweep', { namespace: '$namespace', dataset: '$dataset' }),
    choice('run', 'Run', { namespace: '$namespace', dataset: '$dataset', model: '$model', loss: '$loss', sweep: '$sweep' }),
    { name: 'metric', label: 'Score', values: scoreNames, first: 'dice' },
  ],
  rows: [
    {
      title: 'Where they stand',
      panels: [
        {
          title: 'Best validation Jaccard',
          about: 'Highest pooled validation Jaccard so far, of the best run of each loss.',
          kind: 'bars',
          unit: 'percentunit',
          max: 1,
          queries: [{ expression: byLoss('max', best), legend: '{{loss}}' }],
        },
        {
          title: 'Epochs to within 0.01 of the best',
          about: 'First epoch whose pooled validation Jaccard is at most 0.01 below the best so far: mean over the runs of a loss.',
          kind: 'bars',
          unit: 'none',
          queries: [{ expression: byLoss('avg', metric('convergence_epochs', { ...chosen, delta: '0.01' })), legend: '{{loss}}' }],
        },
        {
          title: 'Losses or gradients that were no number',
          about: 'Such a step is not applied, and the run ends.',
          kind: 'bars',
          unit: 'none',
          queries: [{ expression: byLoss('sum', metric('nonfinite_total', chosen)), legend: '{{loss}}' }],
        },
        {
          title: 'Runs',
          about: 'One a row. Plateau: epochs since the Jaccard was last the best.',
          kind: 'table',
          width: 24,
          columns: ['Epochs', 'Best Jaccard', 'Plateau', 'Normalised loss'],
          queries: [
            metric('epoch', chosen),
            best,
            metric('plateau_epochs', chosen),
            // Not there where the first epoch is the lowest.
            normalised('validation'),
          ].map(expression => ({ expression: byRun(expression), legend: '{{run}}' })),
        },
      ],
    },
    {
      title: 'Convergence',
      panels: [
        {
          title: 'Normalised validation loss',
          about: '(L - best) / (L0 - best): 1 at first, 0 at the lowest so far. Mean over the runs of a loss.',
          kind: 'series',
          queries: [{ expression: byLoss('avg', normalised('validation')), legend: '{{loss}}' }],
        },
        {
          title: 'Normalised training loss',
          about: 'The same of the mean over each epoch, while the weights change.',
          kind: 'series',
          queries: [{ expression: byLoss('avg', normalised('training')), legend: '{{loss}}' }],
        },
        {
          title: 'Validation Jaccard',
          about: 'Pooled over the validation images: mean, lowest and highest of the runs of a loss.',
          kind: 'series',
          unit: 'percentunit',
          queries: spread(jaccard),
        },
        {
          title: 'Raw loss',
          about:
            'Of the validation images and over the epoch, in the unit of each loss: compare a run with itself alone. Some losses fall below 0.',
          kind: 'series',
          isSigned: true,
          queries: [
            {
              expression: by(
                'max',
                ['namespace', 'run', 'loss', 'split'],
                ofRuns(metric('loss_value', { ...chosen, split: ['training', 'validation'] })),
              ),
              legend: '{{run}} {{loss}}, {{split}}',
            },
          ],
        },
        {
          title: 'Validation score: $metric',
          about: 'Pooled over the validation images: mean over the runs of a loss.',
          kind: 'series',
          unit: 'percentunit',
          queries: [{ expression: byLoss('avg', score), legend: '{{loss}}' }],
        },
        {
          title: 'Best so far',
          about: 'Highest pooled validation Jaccard of each run.',
          kind: 'series',
          unit: 'percentunit',
          queries: [{ expression: byRun(best), legend: '{{run}} {{loss}}' }],
        },
        {
          title: 'Epochs to within delta of the best',
          about: 'Rises whenever there is a new best that earlier epochs are not near.',
          kind: 'series',
          unit: 'none',
          queries: [
            {
              expression: by('avg', ['loss', 'delta'], ofRuns(metric('convergence_epochs', chosen))),
              legend: '{{loss}}, {{delta}}',
            },
          ],
        },
        {
          title: 'Plateau',
          about: 'Epochs since the pooled validation Jaccard was last the best.',
          kind: 'series',
          unit: 'none',
          queries: [{ expression: byRun(metric('plateau_epochs', chosen)), legend: '{{run}} {{loss}}' }],
        },
        {
          title: 'Epochs done',
          about: 'The axis of the panels here is time, and epochs of one loss may take longer than those of another.',
          kind: 'series',
          unit: 'none',
          queries: [{ expression: byRun(metric('epoch', chosen)), legend: '{{run}} {{loss}}' }],
        },
      ],
    },
    {
      title: 'Steadiness',
      panels: [
        {
          title: 'Unsteadiness of the validation loss',
          about: 'Deviation of the normalised validation loss within the last quarter of an hour: mean over the runs of a loss.',
          kind: 'series',
          queries: [{ expression: byLoss('avg', `stddev_over_time(${normalised('validation')}[15m])`), legend: '{{loss}}' }],
        },
        {
          title: 'Gradient norm',
          about: 'Global norm of the last step, before clipping.',
          kind: 'series',
          isLog: true,
          queries: [{ expression: byRun(metric('gradient_norm', chosen)), legend: '{{run}} {{loss}}' }],
        },
        {
          title: 'Learning rate',
          about: 'Of the last step.',
          kind: 'series',
          isLog: true,
          queries: [{ expression: byRun(metric('learning_rate', chosen)), legend: '{{run}} {{loss}}' }],
        },
        {
          title: 'Branches of the adaptive logarithmic loss',
          about:
            'Share of what the loss of an epoch is computed on in each branch: logarithmic below gamma, linear above. Runs with ALL alone.',
          kind: 'stacked',
          unit: 'percentunit',
          max: 1,
          width: 24,
          queries: [
            {
              expression: by('avg', ['loss', 'branch'], ofRuns(metric('adaptive_log_branch_ratio', chosen))),
              legend: '{{loss}}, {{branch}}',
            },
          ],
        },
      ],
    },
  ],
};
