/**
 * The one test command (`npm test`): format, types, lint, dead code, then every test from the quickest to
 * the lab. Later steps run although an earlier one failed. The summary at the end names every failed test,
 * since whoever reads a long log reads its tail; the last line sums up all tests.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { type Static, Type } from "typebox";
import { parserOf } from "../protocol/json.ts";

const ROOT = join(import.meta.dirname, "..");
const QUICK_PROJECTS = ["unit", "property", "vectors", "contract", "simulation", "tidy"];
const SLOW_PROJECTS = ["integration", "e2e", "lab"];

const TestReportSchema = Type.Object({
  numPassedTests: Type.Integer(),
  numPendingTests: Type.Integer(),
  testResults: Type.Array(
    Type.Object({
      name: Type.String(),
      status: Type.String(),
      message: Type.String(),
      assertionResults: Type.Array(
        Type.Object({
          ancestorTitles: Type.Array(Type.String()),
          title: Type.String(),
          status: Type.String(),
          failureMessages: Type.Optional(Type.Array(Type.String())),
        }),
      ),
    }),
  ),
});
type TestReport = Static<typeof TestReportSchema>;

const parseTestReport = parserOf("the test report", TestReportSchema);

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly isTests: boolean;
}

interface Counts {
  readonly passed: number;
  readonly skipped: number;
  /** One entry per failed test: where it is, and the first line of its error. */
  readonly failures: readonly string[];
}

interface StepResult extends Counts {
  readonly name: string;
  readonly isGood: boolean;
  readonly seconds: number;
  readonly failed: number;
}

const BROKE_DOWN = "no single test failed: the run itself broke down, see its output above";
const NO_COUNTS: Counts = { passed: 0, skipped: 0, failures: [] };

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
  const counts = step.isTests ? await countsOf(reportPath) : NO_COUNTS;
  // A gate that fails, or a test run that broke down outside its tests, is one failure of its own.
  const isUnnamed = step.isTests && exitCode !== 0 && counts.failures.length === 0;
  const failures = isUnnamed ? [BROKE_DOWN] : counts.failures;
  const failed = exitCode === 0 ? 0 : Math.max(1, failures.length);
  const { passed, skipped } = counts;
  return { name: step.name, isGood: exitCode === 0, seconds, passed, failed, skipped, failures };
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

async function countsOf(reportPath: string): Promise<Counts> {
  const text = await readFile(reportPath, "utf8").catch(() => undefined);
  if (text === undefined) return NO_COUNTS;
  const value: unknown = JSON.parse(text);
  const report = parseTestReport(value);
  return {
    passed: report.numPassedTests,
    skipped: report.numPendingTests,
    failures: report.testResults.flatMap(failuresOf),
  };
}

function failuresOf(file: TestReport["testResults"][number]): string[] {
  const path = relative(ROOT, file.name);
  const failed = file.assertionResults.filter(({ status }) => status === "failed");
  // A file that fails without a failed test broke down before, between or after its tests.
  if (failed.length === 0) {
    return file.status === "failed" ? [`${path}\n  ${firstLineOf(file.message)}`] : [];
  }
  return failed.map(({ ancestorTitles, title, failureMessages = [] }) => {
    const where = [path, ...ancestorTitles, title].join(" > ");
    return `${where}\n  ${firstLineOf(failureMessages[0] ?? "")}`;
  });
}

function firstLineOf(message: string): string {
  const lines = stripVTControlCharacters(message).split("\n");
  return lines.map((line) => line.trim()).find((line) => line !== "") ?? "no message";
}

function printSummary(results: readonly StepResult[]): void {
  console.log("\n== summary");
  for (const { name, isGood, seconds, passed, failed, skipped, failures } of results) {
    const tests = passed + failed + skipped > 0 ? `${passed} passed, ${failed} failed` : "";
    const skips = skipped > 0 ? `, ${skipped} skipped (see above)` : "";
    const time = `${seconds.toFixed(1)} s`.padStart(8);
    console.log(`${isGood ? "ok    " : "FAILED"} ${name.padEnd(12)} ${time}  ${tests}${skips}`);
    for (const failure of failures) console.log(`  ${failure.replaceAll("\n", "\n  ")}`);
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
