/**
 * Whole sites and fleets in virtual time, with the product's own scheduler and lease gate:
 *
 *   npm run simulate -- [NAME | FILE.json] [--seed N] [--runs N] [--json] [--all] [--list]
 *
 * Same seed, same output. Without a name the first bundled scenario runs and all are listed.
 */
import { parseArgs } from "node:util";
import { DeployError } from "../protocol/errors.ts";
import { reportText } from "./simulate/report-text.ts";
import { runScenario } from "./simulate/run-scenario.ts";
import { bundledNames, loadScenario } from "./simulate/scenario.ts";

const DEFAULT_NAME = "1-no-dp";

interface Options {
  readonly seed?: string | undefined;
  readonly runs?: string | undefined;
  readonly isJson: boolean;
}

async function runOne(name: string, { seed, runs, isJson }: Options): Promise<void> {
  const loaded = await loadScenario(name);
  const scenario = runs === undefined ? loaded : { ...loaded, runs: numberOf("--runs", runs, 1) };
  const startedMs = performance.now();
  const chosen = seed === undefined ? scenario.seed : numberOf("--seed", seed, 0);
  const result = runScenario(scenario, chosen);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(
    isJson ? JSON.stringify({ name, scenario, ...result }) : reportText(name, scenario, result),
  );
  // Not part of the result: the same seed gives the same standard output.
  console.error(`${name}: simulated in ${seconds} s`);
}

function numberOf(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least || value > 0xffff_ffff) {
    const expected = `a whole number from ${least} to 4294967295`;
    throw new DeployError("INPUT_INVALID", { what: `${flag} "${text}"`, expected });
  }
  return value;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: "string" },
      runs: { type: "string" },
      json: { type: "boolean", default: false },
      all: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
    },
  });
  const names = await bundledNames();
  const isBare = positionals.length === 0 && !values.all;
  if (values.list || isBare) console.error(`bundled scenarios: ${names.join(", ")}`);
  if (values.list) return 0;
  const chosen = values.all ? names : positionals.length === 0 ? [DEFAULT_NAME] : positionals;
  for (const name of chosen) {
    await runOne(name, { seed: values.seed, runs: values.runs, isJson: values.json });
  }
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  // What a person can cause carries a code: a flag, a path, a document. The rest is a defect.
  if (!(error instanceof Error) || !("code" in error)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}
