/**
 * Measurements: `npm run bench -- NAME [--json] [more]` runs scripts/bench/NAME.ts; without a name
 * it lists what there is. The folder's programs export `run(options)`, which prints its own result.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { BenchOptions } from "./bench-options.ts";

const FOLDER = join(import.meta.dirname, "bench");

type Run = (options: BenchOptions) => Promise<void>;

async function names(): Promise<readonly string[]> {
  const files = await readdir(FOLDER);
  return files.filter((file) => file.endsWith(".ts")).map((file) => file.slice(0, -3));
}

async function load(name: string): Promise<Run> {
  const loaded: unknown = await import(join(FOLDER, `${name}.ts`));
  if (!isBench(loaded)) throw new TypeError(`scripts/bench/${name}.ts exports no run(options)`);
  return loaded.run;
}

function isBench(value: unknown): value is { readonly run: Run } {
  return (
    typeof value === "object" && value !== null && "run" in value && typeof value.run === "function"
  );
}

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  const known = await names();
  if (name !== undefined && known.includes(name)) {
    const run = await load(name);
    await run({
      isJson: args.includes("--json"),
      args: args.filter((word) => word !== "--json"),
    });
    // A bench that missed a bound has said so by now.
    return Number(process.exitCode ?? 0);
  }
  console.error(name === undefined ? "usage: npm run bench -- NAME" : `error: no bench "${name}"`);
  console.error(`benches: ${known.join(", ")}`);
  return name === undefined ? 0 : 2;
}

// A signal ends by the exit handlers: processes and namespaces that a bench has made go with it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main();
