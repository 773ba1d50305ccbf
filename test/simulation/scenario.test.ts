/** Scenario files at the door, and the program that runs them. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bundledNames, loadScenario, parseScenario } from "../../scripts/simulate/scenario.ts";
import { DeployError } from "../../protocol/errors.ts";
import { outputOf } from "../support/processes.ts";
import { officeScenario } from "./office.ts";

const PROGRAM = join(import.meta.dirname, "../../scripts/simulate.ts");
const good = officeScenario({});
const site = good.sites[0]!;

describe("a scenario", () => {
  it.each([
    ["an unknown field", { ...good, colour: "red" }, "additional properties"],
    ["no sites", { ...good, sites: [] }, "/sites"],
    ["a negative rate", { ...good, sites: [{ ...site, lanMbitPerSec: -1 }] }, "/sites/0"],
    [
      "a share above one",
      { ...good, sites: [{ ...site, faults: { silent: { share: 2 } } }] },
      "share",
    ],
    ["a seed with a fraction", { ...good, seed: 1.5 }, "/seed"],
    [
      "a failing DP where there is none",
      { ...good, sites: [{ ...site, faults: { dp: { kind: "killed", atFraction: 0.5 } } }] },
      "no DP",
    ],
    [
      "a range that ends before it begins",
      { ...good, sites: [{ ...site, wanMbitPerSec: { from: 9, to: 2 } }] },
      "range",
    ],
    [
      "more deaths than endpoints",
      { ...good, sites: [{ ...site, endpoints: 2, faults: { holdersKilledAt: [0.1, 0.2] } }] },
      "more holders",
    ],
    ["a fleet without a sample", { ...good, sites: [{ ...site, count: 100_000 }] }, "sample"],
  ])("with %s is refused with its reason", (_case, value, reason) => {
    expect(() => parseScenario(value)).toThrow(DeployError);
    expect(() => parseScenario(value)).toThrow(reason);
  });

  it("is bundled for each case of the evidence list that is simulated", async () => {
    const names = await bundledNames();

    for (const name of names) await expect(loadScenario(name)).resolves.toBeDefined();
    const numbers = new Set(names.map((name) => name.split("-")[0]));
    const simulated = ["1", "2", "3", "4", "5", "6", "7", "8", "11", "12"];
    expect([...numbers]).toEqual(expect.arrayContaining(simulated));
  });
});

describe("npm run simulate", () => {
  it("prints the seed and the same result for the same seed", async () => {
    const args = [PROGRAM, "7-lan-only", "--seed", "42", "--runs", "1", "--json"];

    const [first, second] = [
      await outputOf(process.execPath, args),
      await outputOf(process.execPath, args),
    ];

    expect(first.exitCode).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({ name: "7-lan-only", seed: 42 });
    expect(second.stdout).toBe(first.stdout);
  });

  it.each([
    [["no-such-file.json"], "no-such-file.json"],
    [["1-no-dp", "--seed", "x"], "--seed"],
    [["--speed"], "--speed"],
  ])("answers %j with one sentence and exit code 2", async (args, word) => {
    const result = await outputOf(process.execPath, [PROGRAM, ...args]);

    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(`error: `);
    expect(result.stderr).toContain(word);
    expect(result.stderr).not.toContain("    at ");
  });
});
