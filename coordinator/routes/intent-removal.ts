/** Deleting objects of intent: one by one, or whatever a file does not name. Groups in use stay. */
import type { ChangesAnswer, IntentKind, RemoveInput } from "../../protocol/intent-api.ts";
import type { IntentFile } from "../../protocol/intent.ts";
import {
  assignmentObject,
  containerObject,
  endpointGroupObject,
  packageGroupObject,
  rolloutObject,
  ruleObject,
  windowObject,
} from "../store/intent-objects.ts";
import { openDraft } from "../store/record-draft.ts";
import { TABLES } from "../store/tables.ts";
import { assignmentName } from "../store/wishes.ts";
import { changeList, type Touch } from "./intent-changes.ts";
import { checkDraft } from "./intent-integrity.ts";
import { containerJobId, containerJobs, listedMembers, notFound, type Pen } from "./intent-pen.ts";
import type { Parts } from "./parts.ts";

export async function removeIntent(parts: Parts, input: RemoveInput): Promise<ChangesAnswer> {
  const { kind, name, isDryRun = false } = input;
  return parts.records.change(() => {
    const pen = { parts, draft: openDraft(parts.records), nowMs: parts.now() };
    // Counted before it is gone.
    const touch = remove(pen, kind, name);
    checkDraft(pen);
    const before = { ...pen, draft: openDraft(parts.records) };
    const changes = changeList(before, [touch], isDryRun);
    return { changes: isDryRun ? [] : pen.draft.changes(), result: { isDryRun, changes } };
  });
}

/** Kinds that the file does not have at all are left alone. */
export function pruneOthers(pen: Pen, file: IntentFile): readonly Touch[] {
  const { draft } = pen;
  const named = {
    window: file.windows?.map(({ name }) => name),
    rollout: file.rollouts?.map(({ name }) => name),
    container: file.containers?.map(({ name }) => name),
    rule: file.rules?.map(({ name }) => name),
    assignment: file.assignments?.map(assignmentName),
    packageGroup: file.packageGroups?.map(({ name }) => name),
    endpointGroup: file.endpointGroups?.map(({ name }) => name),
  };
  const known = {
    window: draft.all(TABLES.windows).map(({ name }) => name),
    rollout: draft.all(TABLES.rollouts).map(({ name }) => name),
    container: draft.all(TABLES.containers).map(({ name }) => name),
    rule: draft.all(TABLES.rules).map(({ name }) => name),
    assignment: draft.all(TABLES.assignments).map(assignmentName),
    packageGroup: draft.all(TABLES.packageGroups).map(({ name }) => name),
    endpointGroup: draft.all(TABLES.endpointGroups).map(({ name }) => name),
  };
  const kinds: readonly IntentKind[] = [
    "window",
    "rollout",
    "container",
    "rule",
    "assignment",
    "packageGroup",
    "endpointGroup",
  ];
  return kinds.flatMap((kind) => {
    const kept = named[kind];
    if (kept === undefined) return [];
    return known[kind]
      .filter((name) => !kept.includes(name))
      .map((name) => remove(pen, kind, name));
  });
}

function remove(pen: Pen, kind: IntentKind, name: string): Touch {
  const { draft } = pen;
  const gone = (before: object): Touch => ({ kind, name, before, after: undefined });
  switch (kind) {
    case "endpointGroup":
      return removeEndpointGroup(pen, name);
    case "container":
      return removeContainer(pen, name);
    case "packageGroup": {
      const known = found(draft.get(TABLES.packageGroups, name), kind, name);
      draft.set(TABLES.packageGroups, name, undefined);
      return gone(packageGroupObject(known));
    }
    case "assignment": {
      const known = found(
        draft.all(TABLES.assignments).find((one) => assignmentName(one) === name),
        kind,
        name,
      );
      draft.set(TABLES.assignments, `${known.endpointGroup}/${known.packageGroup}`, undefined);
      return gone(assignmentObject(known));
    }
    case "rule": {
      const known = found(draft.get(TABLES.rules, name), kind, name);
      draft.set(TABLES.rules, name, undefined);
      return gone(ruleObject(known));
    }
    case "rollout": {
      const known = found(draft.get(TABLES.rollouts, name), kind, name);
      draft.set(TABLES.rollouts, name, undefined);
      return gone(rolloutObject(known));
    }
    case "window": {
      const known = found(draft.get(TABLES.windows, name), kind, name);
      draft.set(TABLES.windows, name, undefined);
      return gone(windowObject(known));
    }
    default:
      return kind satisfies never;
  }
}

function removeEndpointGroup(pen: Pen, name: string): Touch {
  const { draft } = pen;
  const known = found(draft.get(TABLES.endpointGroups, name), "endpointGroup", name);
  const members = listedMembers(pen, known);
  draft.set(TABLES.endpointGroups, name, undefined);
  for (const { id } of members) draft.set(TABLES.members, `${id}/${name}`, undefined);
  const before = endpointGroupObject(
    known,
    members.map((one) => one.name),
  );
  return { kind: "endpointGroup", name, before, after: undefined };
}

/** The jobs go with it; what has been installed stays installed (D8). */
export function removeContainer(pen: Pen, name: string): Touch {
  const { draft } = pen;
  const known = found(draft.get(TABLES.containers, name), "container", name);
  const jobs = containerJobs(pen, name);
  draft.set(TABLES.containers, name, undefined);
  for (const job of jobs) {
    draft.set(TABLES.containerJobs, containerJobId(job), undefined);
    const wake = `${job.endpoint}/${name}`;
    if (draft.get(TABLES.wakes, wake) !== undefined) draft.set(TABLES.wakes, wake, undefined);
  }
  const before = containerObject(known, jobs, (id) => draft.get(TABLES.endpoints, id)?.name);
  return { kind: "container", name, before, after: undefined };
}

function found<T>(known: T | undefined, kind: IntentKind, name: string): T {
  if (known === undefined) throw notFound(`${WORDS[kind]} ${name}`);
  return known;
}

const WORDS: Readonly<Record<IntentKind, string>> = {
  endpointGroup: "endpoint group",
  packageGroup: "package group",
  assignment: "assignment",
  rule: "rule",
  container: "job container",
  rollout: "rollout",
  window: "maintenance window",
};
