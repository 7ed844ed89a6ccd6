/**
 * The catalogue of commands. Each parses, calls one function below it, and renders.
 */
import CheckpointFetch from './commands/checkpoint/fetch.ts';
import CheckpointList from './commands/checkpoint/list.ts';
import CheckpointPrune from './commands/checkpoint/prune.ts';
import CheckpointShow from './commands/checkpoint/show.ts';
import CheckpointVerify from './commands/checkpoint/verify.ts';
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
import Export from './commands/export.ts';
import Init from './commands/init.ts';
import LossesExplain from './commands/losses/explain.ts';
import LossesValue from './commands/losses/value.ts';
import Losses from './commands/losses.ts';
import Operator from './commands/operator.ts';
import Predict from './commands/predict.ts';
import Reproduce from './commands/reproduce.ts';
import Setup from './commands/setup.ts';
import Train from './commands/train.ts';
import Worker from './commands/worker.ts';

export const commands = {
  'checkpoint:fetch': CheckpointFetch,
  'checkpoint:list': CheckpointList,
  'checkpoint:prune': CheckpointPrune,
  'checkpoint:show': CheckpointShow,
  'checkpoint:verify': CheckpointVerify,
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
  export: Export,
  init: Init,
  losses: Losses,
  'losses:explain': LossesExplain,
  'losses:value': LossesValue,
  operator: Operator,
  predict: Predict,
  reproduce: Reproduce,
  setup: Setup,
  train: Train,
  worker: Worker,
};
