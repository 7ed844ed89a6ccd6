/**
 * Takes what trackers send, in a process of its own: prints the addresses of an MLflow server and a collector in memory, and at the end of its standard
 * input how much has come.
 */
import { startMemoryMlflow } from '../tools/mlflowServer.ts';
import { startCollector } from '../tools/otlpCollector.ts';

await using mlflow = await startMemoryMlflow();
await using collector = await startCollector();
console.log(JSON.stringify({ mlflow: mlflow.url, collector: collector.url }));
for await (const _ of process.stdin);
const values = mlflow.requests.flatMap(({ path, body }) =>
  path === 'runs/log-batch' && body.metrics ? (body.metrics as unknown[]) : [],
).length;
console.log(JSON.stringify({ values, spans: collector.spans.length }));
