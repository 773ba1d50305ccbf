/** What a call changes, told for each object: created, updated or the same, and whom it reaches. */
import type { EndpointId } from "../../protocol/ids.ts";
import type { IntentChange } from "../../protocol/intent-api.ts";
import { matchesInventory, parseInventoryQuery } from "../../protocol/inventory-query.ts";
import { canonicalText } from "../../protocol/json.ts";
import { tenantOf } from "../store/group-members.ts";
import { inventoryFacts } from "../store/inventory-facts.ts";
import { TABLES } from "../store/tables.ts";
import { containerJobs, listedMembers, type Pen } from "./intent-pen.ts";

/** An object as it was and as it shall be, in the form that operators write. */
export interface Touch {
  readonly kind: IntentChange["kind"];
  readonly name: string;
  readonly before: object | undefined;
  readonly after: object | undefined;
}

// Above this only a dry run asks every endpoint whether a query admits it: a change must cost no more
// than its own write.
const COUNTED_FLEET_MAX = 10_000;

export function differs({ before, after }: Touch): boolean {
  if (before === undefined || after === undefined) return before !== after;
  return canonicalText(before) !== canonicalText(after);
}

export function changeList(pen: Pen, touches: readonly Touch[], isDryRun: boolean): IntentChange[] {
  const count = reachCounter(pen, isDryRun);
  return touches.map((touch) => ({
    kind: touch.kind,
    name: touch.name,
    change: changeOf(touch),
    fields: fieldsOf(touch),
    endpointCount: count(touch),
  }));
}

function changeOf(touch: Touch): IntentChange["change"] {
  if (!differs(touch)) return "none";
  if (touch.before === undefined) return "create";
  return touch.after === undefined ? "delete" : "update";
}

/** `schedule.priority`, `entries`: the parts that differ, of an update. */
function fieldsOf({ before, after }: Touch): string[] {
  if (before === undefined || after === undefined) return [];
  const one = partsOf(before);
  const other = partsOf(after);
  const names = [...new Set([...one.keys(), ...other.keys()])];
  return names.filter((name) => one.get(name) !== other.get(name)).toSorted();
}

function partsOf(object: object): ReadonlyMap<string, string> {
  const parts = new Map<string, string>();
  for (const name of Object.keys(object)) {
    const value: unknown = Reflect.get(object, name);
    if (name !== "schedule" || typeof value !== "object" || value === null) {
      parts.set(name, canonicalText(value));
      continue;
    }
    for (const part of Object.keys(value)) {
      parts.set(`schedule.${part}`, canonicalText(Reflect.get(value, part)));
    }
  }
  return parts;
}

type Reach = ReadonlySet<EndpointId> | undefined;

function reachCounter(pen: Pen, isDryRun: boolean): (touch: Touch) => number | null {
  const groups = new Map<string, Reach>();
  const isSmall = pen.parts.records.count(TABLES.endpoints) <= COUNTED_FLEET_MAX;

  function reachOf(group: string): Reach {
    if (!groups.has(group)) groups.set(group, membersOf(pen, group, isDryRun || isSmall));
    return groups.get(group);
  }

  return (touch) => {
    const { kind, name } = touch;
    if (kind === "container") {
      return new Set(containerJobs(pen, name).map(({ endpoint }) => endpoint)).size;
    }
    const names = kind === "packageGroup" ? linkedGroups(pen, name) : groupNames(touch);
    const reached = names.map(reachOf);
    if (reached.includes(undefined)) return null;
    return new Set(reached.flatMap((one) => [...(one ?? [])])).size;
  };
}

/** Endpoint groups that get the packages of a group in any way. */
function linkedGroups({ draft }: Pen, packageGroup: string): readonly string[] {
  return [TABLES.assignments, TABLES.rules, TABLES.rollouts].flatMap((table) =>
    draft
      .all<{ readonly packageGroup: string; readonly endpointGroup: string }>(table)
      .filter((one) => one.packageGroup === packageGroup)
      .map(({ endpointGroup }) => endpointGroup),
  );
}

function groupNames({ kind, name, before, after }: Touch): readonly string[] {
  if (kind === "endpointGroup") return [name];
  return [before, after].flatMap((object) => {
    const group: unknown = object === undefined ? undefined : Reflect.get(object, "endpointGroup");
    return typeof group === "string" ? [group] : [];
  });
}

/** Undefined: not counted. */
export function membersOf(pen: Pen, name: string, asksQueries: boolean): Reach {
  const { draft, parts } = pen;
  const group = draft.get(TABLES.endpointGroups, name);
  if (group === undefined) return new Set();
  if (group.query === undefined) {
    return new Set(listedMembers(pen, group).map(({ id }) => id));
  }
  if (!asksQueries) return undefined;
  const query = parseInventoryQuery(group.query);
  const matching = draft
    .all(TABLES.endpoints)
    .filter((one) => tenantOf(draft, one) === group.tenant)
    .filter((one) => matchesInventory(query, inventoryFacts(parts.records, parts.presence, one)));
  return new Set(matching.map(({ id }) => id));
}
