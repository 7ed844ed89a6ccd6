/**
 * `mlflowProcess.ts HOST PORT`: the MLflow server in memory as a process of its own, which can stand in another network.
 */
import { startMemoryMlflow } from './mlflowServer.ts';

const [host, port] = process.argv.slice(2);
await startMemoryMlflow({ host, port: Number(port) });
