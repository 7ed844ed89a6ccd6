/**
 * The catalogue of commands. Each parses, calls one function below it, and renders.
 */
import Demo from './commands/demo.ts';
import Doctor from './commands/doctor.ts';
import Evaluate from './commands/evaluate.ts';
import Init from './commands/init.ts';
import LossesExplain from './commands/losses/explain.ts';
import LossesValue from './commands/losses/value.ts';
import Losses from './commands/losses.ts';
import Predict from './commands/predict.ts';
import Reproduce from './commands/reproduce.ts';
import Setup from './commands/setup.ts';
import Train from './commands/train.ts';

export const commands = {
  demo: Demo,
  doctor: Doctor,
  evaluate: Evaluate,
  init: Init,
  losses: Losses,
  'losses:explain': LossesExplain,
  'losses:value': LossesValue,
  predict: Predict,
  reproduce: Reproduce,
  setup: Setup,
  train: Train,
};
