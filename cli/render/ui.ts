import { plural } from '../../trainer/report/section.ts';
import type { Ui } from '../../trainer/ui/serveUi.ts';

export const uiText = ({ url, place, runs, sweeps }: Ui): string =>
  `${plural(runs, 'run')} and ${plural(sweeps, 'sweep')} in ${place}; what comes is shown as it comes.\n\n  ${url}\n\nOnly this machine, and only with this address. Ctrl-C ends it.`;
