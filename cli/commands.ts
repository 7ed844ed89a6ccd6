/**
 * The catalogue of commands. Each parses, calls one function below it, and renders.
 */
import Audit from './commands/audit.ts';
import Cancel from './commands/cancel.ts';
import CheckpointFetch from './commands/checkpoint/fetch.ts';
import CheckpointList from './commands/checkpoint/list.ts';
import CheckpointPrune from './commands/checkpoint/prune.ts';
import CheckpointShow from './commands/checkpoint/show.ts';
import CheckpointVerify from './commands/checkpoint/verify.ts';
import ClusterCheck from './commands/cluster/check.ts';
import Compare from './commands/compare.ts';
import Coordinator from './commands/coordinator.ts';
import DatasetImport from './commands/dataset/import.ts';
import DatasetShard from './commands/dataset/shard.ts';
import DatasetShow from './commands/dataset/show.ts';
import DatasetSplit from './commands/dataset/split.ts';
import DatasetStats from './commands/dataset/stats.ts';
import DatasetVerify from './commands/dataset/verify.ts';
import Demo from './commands/demo.ts';
import Doctor from './commands/doctor.ts';
import Evaluate from './commands/evaluate.ts';
import Events from './commands/events.ts';
import Export from './commands/export.ts';
import Init from './commands/init.ts';
import List from './commands/list.ts';
import Logs from './commands/logs.ts';
import LossesExplain from './commands/losses/explain.ts';
import LossesValue from './commands/losses/value.ts';
import Losses from './commands/losses.ts';
import Operator from './commands/operator.ts';
import Predict from './commands/predict.ts';
import Report from './commands/report.ts';
import Reproduce from './commands/reproduce.ts';
import Resume from './commands/resume.ts';
import Scale from './commands/scale.ts';
import Setup from './commands/setup.ts';
import Status from './commands/status.ts';
import Submit from './commands/submit.ts';
import Suspend from './commands/suspend.ts';
import SweepBest from './commands/sweep/best.ts';
import SweepPause from './commands/sweep/pause.ts';
import SweepPlan from './commands/sweep/plan.ts';
import SweepRerun from './commands/sweep/rerun.ts';
import SweepResults from './commands/sweep/results.ts';
import SweepResume from './commands/sweep/resume.ts';
import SweepRun from './commands/sweep/run.ts';
import SweepStatus from './commands/sweep/status.ts';
import SweepStop from './commands/sweep/stop.ts';
import Track from './commands/track.ts';
import Train from './commands/train.ts';
import Ui from './commands/ui.ts';
import Wait from './commands/wait.ts';
import Worker from './commands/worker.ts';

export const commands = {
  audit: Audit,
  cancel: Cancel,
  'checkpoint:fetch': CheckpointFetch,
  'checkpoint:list': CheckpointList,
  'checkpoint:prune': CheckpointPrune,
  'checkpoint:show': CheckpointShow,
  'checkpoint:verify': CheckpointVerify,
  'cluster:check': ClusterCheck,
  compare: Compare,
  coordinator: Coordinator,
  'dataset:import': DatasetImport,
  'dataset:shard': DatasetShard,
  'dataset:show': DatasetShow,
  'dataset:split': DatasetSplit,
  'dataset:stats': DatasetStats,
  'dataset:verify': DatasetVerify,
  demo: Demo,
  doctor: Doctor,
  evaluate: Evaluate,
  events: Events,
  export: Export,
  init: Init,
  list: List,
  logs: Logs,
  losses: Losses,
  'losses:explain': LossesExplain,
  'losses:value': LossesValue,
  operator: Operator,
  predict: Predict,
  report: Report,
  reproduce: Reproduce,
  resume: Resume,
  scale: Scale,
  setup: Setup,
  status: Status,
  submit: Submit,
  suspend: Suspend,
  'sweep:best': SweepBest,
  'sweep:pause': SweepPause,
  'sweep:plan': SweepPlan,
  'sweep:rerun': SweepRerun,
  'sweep:results': SweepResults,
  'sweep:resume': SweepResume,
  'sweep:run': SweepRun,
  'sweep:status': SweepStatus,
  'sweep:stop': SweepStop,
  track: Track,
  train: Train,
  ui: Ui,
  wait: Wait,
  worker: Worker,
};
