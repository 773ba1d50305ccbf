/** Plain Node, without the test runner's loader, can load both programs. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { outputOf } from "../support/processes.ts";
import { ROOT } from "./source-files.ts";

it.each(["coordinator/main.ts", "node/main.ts"])("loads %s by stripping types", async (path) => {
  const script = `await import(${JSON.stringify(join(ROOT, path))})`;

  const result = await outputOf(process.execPath, ["--input-type=module", "--eval", script]);

  expect(existsSync(join(ROOT, path))).toBe(true);
  expect(result).toEqual({ exitCode: 0, stdout: "", stderr: "" });
});

it("notices a program that Node cannot strip", async () => {
  const script = "enum Colour { Red }";

  const result = await outputOf(process.execPath, ["--input-type=module-typescript", "-e", script]);

  expect(result.exitCode).not.toBe(0);
});

it("answers --help with the commands of both programs", async () => {
  const program = join(ROOT, "scripts/branchline.ts");

  const result = await outputOf(process.execPath, [program, "--help"]);

  expect(result.exitCode).toBe(0);
  for (const word of ["coordinator", "node", "package", "deploy", "status"]) {
    expect(result.stdout).toContain(word);
  }
});
