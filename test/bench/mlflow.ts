/**
 * Installs the MLflow server that test/integration/mlflow.test.ts runs where it is there (`npm run test:mlflow`); about 350 MB and two minutes, once.
 */
import { mlflowPython } from './peers.ts';

console.log(`MLflow is ready in ${await mlflowPython()}`);
