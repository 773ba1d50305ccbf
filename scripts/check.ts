/**
 * The one test command (`npm test`): format, types, lint, dead code, then every test from the quickest to
 * the lab. Later steps run although an earlier one failed; the last line sums up all tests.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Type } from "typebox";
import { parserOf } from "../protocol/json.ts";

const ROOT = join(import.meta.dirname, "..");
const QUICK_PROJECTS = ["unit", "property", "vectors", "contract", "simulation", "tidy"];
const SLOW_PROJECTS = ["integration", "e2e", "lab"];

const parseTestReport = parserOf(
  "the test report",
  Type.Object({
    numPassedTests: Type.Integer(),
    numFailedTests: Type.Integer(),
    numFailedTestSuites: Type.Integer(),
    numPendingTests: Type.Integer(),
  }),
);

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly isTests: boolean;
}

interface StepResult {
  readonly name: string;
  readonly isGood: boolean;
  readonly seconds: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const GATES: readonly Step[] = [
  { name: "format", command: ["oxfmt", "--check"], isTests: false },
  { name: "types", command: ["tsc", "--noEmit"], isTests: false },
  { name: "lint", command: ["oxlint", "--type-aware"], isTests: false },
  { name: "dead code", command: ["knip", "--no-progress"], isTests: false },
];

function testStep(name: string, projects: readonly string[]): Step {
  const filter = projects.flatMap((project) => ["--project", project]);
  return { name, command: ["vitest", "run", ...filter], isTests: true };
}

async function runStep(step: Step, folder: string): Promise<StepResult> {
  console.log(`\n== ${step.name}: ${step.command.join(" ")}`);
  const startedMs = performance.now();
  const reportPath = join(folder, `${step.name.replaceAll(" ", "-")}.json`);
  const reporters = step.isTests
    ? ["--reporter=default", "--reporter=json", `--outputFile.json=${reportPath}`]
    : [];
  const exitCode = await exitCodeOf([...step.command, ...reporters]);
  const seconds = (performance.now() - startedMs) / 1000;
  const counts = step.isTests ? await countsOf(reportPath) : { passed: 0, failed: 0, skipped: 0 };
  // A gate, or a test run that broke down outside its tests, is one failure of its own.
  const failed = exitCode !== 0 && counts.failed === 0 ? 1 : counts.failed;
  return { ...counts, name: step.name, isGood: exitCode === 0, seconds, failed };
}

async function exitCodeOf([file = "", ...args]: readonly string[]): Promise<number> {
  const child = spawn(file, args, { cwd: ROOT, stdio: "inherit" });
  return new Promise((resolve) => {
    child.once("error", (error) => {
      console.error(`error: ${file} does not start: ${error.message}; run \`npm ci\``);
      resolve(127);
    });
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

async function countsOf(
  reportPath: string,
): Promise<Pick<StepResult, "passed" | "failed" | "skipped">> {
  const text = await readFile(reportPath, "utf8").catch(() => undefined);
  if (text === undefined) return { passed: 0, failed: 0, skipped: 0 };
  const value: unknown = JSON.parse(text);
  const report = parseTestReport(value);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests,
    skipped: report.numPendingTests,
  };
}

function printSummary(results: readonly StepResult[]): void {
  console.log("\n== summary");
  for (const { name, isGood, seconds, passed, failed, skipped } of results) {
    const tests = passed + failed + skipped > 0 ? `${passed} passed, ${failed} failed` : "";
    const skips = skipped > 0 ? `, ${skipped} skipped (see above)` : "";
    const time = `${seconds.toFixed(1)} s`.padStart(8);
    console.log(`${isGood ? "ok    " : "FAILED"} ${name.padEnd(12)} ${time}  ${tests}${skips}`);
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
  const slow = SLOW_PROJECTS.map((project) => testStep(project, [project]));
  const steps = [...GATES, testStep("quick tests", QUICK_PROJECTS), ...(values.quick ? [] : slow)];
  const folder = await mkdtemp(join(tmpdir(), "branchline-check-"));
  const results: StepResult[] = [];
  try {
    for (const step of steps) results.push(await runStep(step, folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  printSummary(results);
  return results.every(({ isGood }) => isGood) ? 0 : 1;
}

process.exitCode = await main();
