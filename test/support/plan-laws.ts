/** The laws of the planner over whole worlds, for random cases and for those that broke one once. */
import { expect } from "vitest";
import type { Intent, Plan, PlannedInstruction } from "../../coordinator/core/plan/plan-model.ts";
import { parseDirectiveTarget } from "../../protocol/directive.ts";
import { packageRefText, type PackageRef } from "../../protocol/ids.ts";
import { inVersionRange, parseVersionRange } from "../../protocol/version-order.ts";
import { PlanEndpoint, type PlanCase } from "./plan-endpoint.ts";

/** Enough for every failure and every start and end of a wish to be over. */
const RUN_COUNT = 24;

/** OCO-34: the runs end in rest, and nothing is installed or taken off again and again. */
export function checkRest(one: PlanCase): void {
  const endpoint = new PlanEndpoint(one);
  for (let run = 0; run < RUN_COUNT; run++) endpoint.run(one.stops[run]);
  const settled = endpoint.changes.length;
  for (let run = 0; run < 10; run++) endpoint.run();

  expect(endpoint.changes.slice(settled)).toEqual([]);
  // Once, and once more for each wish that begins or ends on the way: it changes what is wished.
  const instants = one.intents.flatMap(({ schedule }) => [schedule.startMs, schedule.endMs]);
  const limit = 1 + instants.filter((atMs) => atMs !== undefined).length;
  const counts = [...Map.groupBy(endpoint.changes, (change) => change).values()];
  expect(counts.filter(({ length }) => length > limit)).toEqual([]);
}

/** What holds of every plan, also while the wishes change. */
export function checkSteps(one: PlanCase, changes: readonly (readonly Intent[])[]): void {
  const endpoint = new PlanEndpoint(one);
  for (const intents of [one.intents, ...changes]) {
    endpoint.input = { ...endpoint.input, intents };
    for (let run = 0; run < 4; run++) {
      const plan = endpoint.plan();
      checkInstructions(plan);
      checkDependentsFirst(plan, endpoint);
      checkLevelZero(plan, endpoint);
      checkAttempts(plan, endpoint);
      checkReasons(plan, endpoint);
      endpoint.run(one.stops[run]);
    }
  }
  // The limits of all wishes are at most 3; what nobody wishes directly has 3.
  expect(endpoint.mostAttempts).toBeLessThanOrEqual(3);
}
const performs = ({ instructions }: Plan): readonly PlannedInstruction[] =>
  instructions.filter(({ purpose }) => purpose === "perform");

/** Whatever an instruction needs is there, or comes before it, and is not taken off again in between. */
function checkDependentsFirst(plan: Plan, { input }: PlanEndpoint): void {
  const rows = input.installed.filter((row) => (row.removedMs ?? -1) < row.sinceMs);
  const there = new Map<string, PackageRef>(rows.map((row) => [packageRefText(row), row]));
  for (const { ref, job, revision, operation } of performs(plan)) {
    const record = input.records.get(job);
    const isDone = record?.revision === revision && record.state === "succeeded";
    for (const edge of input.packages.get(ref)?.rules.dependencies ?? []) {
      const isNeeded = (edge.actionSet === "uninstall") === (operation === "uninstall");
      if (!isNeeded || isDone) continue;
      const range = parseVersionRange(edge.versions ?? "*");
      const isThere = [...there.values()].some(
        ({ name, version }) => name === edge.name && inVersionRange(range, "numbers", version),
      );
      expect(isThere, `${operation ?? "install"} ${ref.name} after its ${edge.name}`).toBe(true);
    }
    if (operation === "uninstall") there.delete(packageRefText(ref));
    else there.set(packageRefText(ref), ref);
  }
}

function checkLevelZero(plan: Plan, { input }: PlanEndpoint): void {
  const due = performs(plan).filter(({ job, revision }) => {
    const record = input.records.get(job);
    return record?.revision !== revision || record.state !== "succeeded";
  });
  const blocker = due.find(
    ({ ref, operation }) => operation === undefined && input.packages.get(ref)?.level === 0,
  );
  if (blocker === undefined) return;
  const needed = new Set(
    due.filter(({ ref }) => input.packages.get(ref)?.level === 0).map(({ job }) => job),
  );
  for (const id of needed) {
    for (const other of plan.instructions.find(({ job }) => job === id)?.after ?? [])
      needed.add(other);
  }
  expect(due.filter(({ job }) => !needed.has(job)).map(({ ref }) => packageRefText(ref))).toEqual(
    [],
  );
}

/** SE-21: nothing is handed out whose attempts are known to be used up. */
function checkAttempts(plan: Plan, { input }: PlanEndpoint): void {
  for (const { job, revision, attemptLimit } of performs(plan)) {
    const record = input.records.get(job);
    if (record?.revision !== revision || record.state !== "failed") continue;
    expect(record.attempt, job).toBeLessThan(attemptLimit);
  }
}

function checkReasons(plan: Plan, { input }: PlanEndpoint): void {
  const answered = new Set(
    [...plan.instructions, ...plan.waiting, ...plan.preview].flatMap(({ from }) => from),
  );
  for (const { source, name } of input.intents) expect(answered).toContain(`${source}/${name}`);
  for (const { reasons } of [...plan.waiting, ...plan.preview]) {
    expect(reasons.length).toBeGreaterThan(0);
    for (const { text, endsWhen } of reasons) expect([text, endsWhen]).not.toContain("");
  }
  const previews = new Set(
    input.intents.filter(({ isPreview }) => isPreview).map(({ name }) => `rule/${name}`),
  );
  expect(plan.instructions.flatMap(({ from }) => from).filter((one) => previews.has(one))).toEqual(
    [],
  );
}

function checkInstructions(plan: Plan): void {
  const ids = plan.instructions.map(({ job }) => job);
  expect(new Set(ids).size).toBe(ids.length);
  expect(plan.instructions.map(({ sequence }) => sequence)).toEqual([...ids.keys()]);
  for (const { ref: _ref, from: _from, ...instruction } of plan.instructions) {
    for (const before of instruction.after ?? []) {
      expect(ids.indexOf(before)).toBeGreaterThanOrEqual(0);
      expect(ids.indexOf(before)).toBeLessThan(instruction.sequence);
    }
    const match = { epoch: 1, kind: "execute" as const };
    parseDirectiveTarget({ match, swarm: "0".repeat(64), instructions: [instruction] });
  }
}
