/**
 * Single changes to intent that is there: members, cells of the matrix, rules on and off, pauses, versions
 * replaced. Each is one step, and each can be asked for without being done.
 */
import { resumeRollout, stopRollout } from "../core/intent/rollout.ts";
import { DeployError } from "../../protocol/errors.ts";
import type {
  Assignments,
  CellInput,
  ChangesAnswer,
  MembersInput,
  PauseInput,
  RolloutAction,
  RuleAction,
} from "../../protocol/intent-api.ts";
import type { ReplaceInput } from "../../protocol/page-api.ts";
import {
  assignmentObject,
  containerObject,
  inOrder,
  packageGroupObject,
  rolloutObject,
  ruleObject,
} from "../store/intent-objects.ts";
import type { RolloutRecord } from "../store/intent-records.ts";
import { openDraft } from "../store/record-draft.ts";
import { TABLES } from "../store/tables.ts";
import { assignmentName } from "../store/wishes.ts";
import { changeList, type Touch } from "./intent-changes.ts";
import { checkDraft } from "./intent-integrity.ts";
import {
  containerJobs,
  listedMembers,
  notFound,
  requireNamed,
  requirePackage,
  type Pen,
} from "./intent-pen.ts";
import { writeAssignment, writeEndpointGroup, writePackageGroup } from "./intent-writers.ts";
import type { Parts } from "./parts.ts";
import { reevaluated, settleSnapshots } from "./rule-snapshots.ts";

/** One change on a draft; without its last step where it is a dry run. */
async function changed(
  parts: Parts,
  isDryRun: boolean | undefined,
  act: (pen: Pen) => readonly Touch[],
): Promise<ChangesAnswer> {
  return parts.records.change(() => {
    const pen = { parts, draft: openDraft(parts.records), nowMs: parts.now() };
    const touches = act(pen);
    settleSnapshots(pen);
    checkDraft(pen);
    const changes = changeList(pen, touches, isDryRun === true);
    const result = { isDryRun: isDryRun === true, changes };
    return { changes: isDryRun === true ? [] : pen.draft.changes(), result };
  });
}

export async function changeMembers(parts: Parts, input: MembersInput): Promise<ChangesAnswer> {
  return changed(parts, input.isDryRun, (pen) => {
    const known = pen.draft.get(TABLES.endpointGroups, input.group);
    if (known === undefined) throw notFound(`endpoint group ${input.group}`);
    if (known.query !== undefined) {
      const expected = "a group without a query; its members follow from the query";
      throw new DeployError("INPUT_INVALID", { what: `the group ${known.name}`, expected });
    }
    for (const name of [...(input.add ?? []), ...(input.remove ?? [])]) requireNamed(pen, name);
    const removed = new Set(input.remove);
    const members = listedMembers(pen, known).map(({ name }) => name);
    const endpoints = [...new Set([...members, ...(input.add ?? [])])].filter(
      (name) => !removed.has(name),
    );
    const { name, tenant } = known;
    return [writeEndpointGroup(pen, { name, tenant, endpoints })];
  });
}

export function assignmentsOf({ records }: Parts): Assignments {
  const packageGroups = inOrder(records.all(TABLES.packageGroups)).map(({ name }) => name);
  const endpointGroups = inOrder(records.all(TABLES.endpointGroups)).map(({ name }) => name);
  const cells = packageGroups.map((row) =>
    endpointGroups.map(
      (column) => records.get(TABLES.assignments, `${column}/${row}`) !== undefined,
    ),
  );
  return {
    list: inOrder(records.all(TABLES.assignments)).map(assignmentObject),
    matrix: { packageGroups, endpointGroups, cells },
  };
}

/** A cell that is set already keeps its schedule. */
export async function setCell(parts: Parts, input: CellInput): Promise<ChangesAnswer> {
  const { packageGroup, endpointGroup, isAssigned } = input;
  return changed(parts, input.isDryRun, (pen) => {
    const id = `${endpointGroup}/${packageGroup}`;
    const known = pen.draft.get(TABLES.assignments, id);
    const before = known && assignmentObject(known);
    const name = assignmentName(input);
    if (isAssigned) {
      if (before === undefined) return [writeAssignment(pen, { packageGroup, endpointGroup })];
      return [{ kind: "assignment", name, before, after: before }];
    }
    if (known !== undefined) pen.draft.set(TABLES.assignments, id, undefined);
    return [{ kind: "assignment", name, before, after: undefined }];
  });
}

export async function actOnRule(
  parts: Parts,
  name: string,
  { action, isDryRun }: RuleAction,
): Promise<ChangesAnswer> {
  return changed(parts, isDryRun, (pen) => {
    const known = pen.draft.get(TABLES.rules, name);
    if (known === undefined) throw notFound(`rule ${name}`);
    const before = { ...ruleObject(known), snapshot: known.snapshot };
    const after =
      action === "reevaluate"
        ? reevaluated(pen, known)
        : { ...known, isEnabled: action === "enable" };
    pen.draft.set(TABLES.rules, name, after);
    return [
      { kind: "rule", name, before, after: { ...ruleObject(after), snapshot: after.snapshot } },
    ];
  });
}

export async function actOnRollout(
  parts: Parts,
  name: string,
  { action, isDryRun }: RolloutAction,
): Promise<ChangesAnswer> {
  return changed(parts, isDryRun, (pen) => {
    const known = pen.draft.get(TABLES.rollouts, name);
    if (known === undefined) throw notFound(`rollout ${name}`);
    const progress =
      action === "stop"
        ? stopRollout(known, "an operator stopped it", pen.nowMs)
        : resumeRollout(known, pen.nowMs);
    const after = withProgress(known, progress);
    pen.draft.set(TABLES.rollouts, name, after);
    return [{ kind: "rollout", name, before: shownRollout(known), after: shownRollout(after) }];
  });
}

function shownRollout(record: RolloutRecord): object {
  return { ...rolloutObject(record), isStopped: record.stopped !== undefined };
}

export function withProgress(
  record: RolloutRecord,
  { openedMs, stopped, resumedMs }: Parameters<typeof stopRollout>[0],
): RolloutRecord {
  const { stopped: _stopped, resumedMs: _resumedMs, ...rest } = record;
  return {
    ...rest,
    openedMs: [...openedMs],
    ...(stopped === undefined ? {} : { stopped }),
    ...(resumedMs === undefined ? {} : { resumedMs }),
  };
}

/** Pause and resume of anything that hands out work. */
export async function pause(parts: Parts, input: PauseInput): Promise<ChangesAnswer> {
  return changed(parts, input.isDryRun, (pen) => [pausedTouch(pen, input)]);
}

function pausedTouch(pen: Pen, { kind, name, isPaused }: PauseInput): Touch {
  const { draft } = pen;
  switch (kind) {
    case "assignment": {
      const known = draft.all(TABLES.assignments).find((one) => assignmentName(one) === name);
      if (known === undefined) throw notFound(`assignment ${name}`);
      const after = withPause(known, isPaused);
      draft.set(TABLES.assignments, `${known.endpointGroup}/${known.packageGroup}`, after);
      return { kind, name, before: assignmentObject(known), after: assignmentObject(after) };
    }
    case "rule": {
      const known = draft.get(TABLES.rules, name);
      if (known === undefined) throw notFound(`rule ${name}`);
      const after = withPause(known, isPaused);
      draft.set(TABLES.rules, name, after);
      return { kind, name, before: ruleObject(known), after: ruleObject(after) };
    }
    case "container": {
      const known = draft.get(TABLES.containers, name);
      if (known === undefined) throw notFound(`job container ${name}`);
      const after = withPause(known, isPaused);
      draft.set(TABLES.containers, name, after);
      const jobs = containerJobs(pen, name);
      const nameOf = (id: (typeof jobs)[number]["endpoint"]) =>
        draft.get(TABLES.endpoints, id)?.name;
      const object = (record: typeof known) => containerObject(record, jobs, nameOf);
      return { kind, name, before: object(known), after: object(after) };
    }
    case "rollout": {
      const known = draft.get(TABLES.rollouts, name);
      if (known === undefined) throw notFound(`rollout ${name}`);
      const after = withPause(known, isPaused);
      draft.set(TABLES.rollouts, name, after);
      return { kind, name, before: rolloutObject(known), after: rolloutObject(after) };
    }
    case "deployment": {
      const known = draft.get(TABLES.deployments, name);
      if (known === undefined) throw notFound(`deployment ${name}`);
      draft.set(TABLES.deployments, name, { ...known, isPaused });
      const before = { isPaused: known.isPaused === true };
      return { kind, name, before, after: { isPaused } };
    }
    default:
      return kind satisfies never;
  }
}

function withPause<T extends { readonly schedule?: object }>(record: T, isPaused: boolean): T {
  const { isPaused: _isPaused, ...schedule }: { isPaused?: boolean } = record.schedule ?? {};
  return { ...record, schedule: isPaused ? { ...schedule, isPaused } : schedule };
}

/** Old out and new in, in one step: the order that never loops (OCO-42). */
export async function replaceVersion(parts: Parts, input: ReplaceInput): Promise<ChangesAnswer> {
  const { name, from, to, packageGroups } = input;
  return changed(parts, input.isDryRun, (pen) => {
    requirePackage(pen, { name, version: to });
    const hasOld = (group: { readonly entries: readonly { name: string; version?: string }[] }) =>
      group.entries.some((entry) => entry.name === name && entry.version === from);
    const groups = inOrder(pen.draft.all(TABLES.packageGroups)).filter(
      (group) => hasOld(group) && packageGroups?.includes(group.name) !== false,
    );
    if (groups.length === 0) throw notFound(`package group with ${name}@${from}`);
    return groups.map((group) => {
      const entries = group.entries
        .filter((entry) => !(entry.name === name && entry.version === to))
        .map((entry) =>
          entry.name === name && entry.version === from ? { ...entry, version: to } : entry,
        );
      return writePackageGroup(pen, { ...packageGroupObject(group), entries });
    });
  });
}
