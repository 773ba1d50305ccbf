/**
 * What must hold of all intent together before a draft is committed: nothing names what is not there, and
 * no link can install and uninstall for ever (OCO-34).
 */
import { contradictions } from "../core/plan/loops.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Schedule } from "../../protocol/intent.ts";
import { planCatalog } from "../store/plan-catalog.ts";
import { TABLES, type Table } from "../store/tables.ts";
import { assignmentName, assignmentWishes, rolloutWishes, ruleWishes } from "../store/wishes.ts";
import { notFound, type Pen } from "./intent-pen.ts";

/** Throws NOT_FOUND, INTENT_IN_USE or INTENT_LOOP. */
export function checkDraft(pen: Pen): void {
  const { draft } = pen;
  const links = linksOf(pen);
  const goneEndpointGroups = goneOf(pen, TABLES.endpointGroups);
  const gonePackageGroups = goneOf(pen, TABLES.packageGroups);
  const changedPackageGroups = new Set(draft.touched(TABLES.packageGroups));
  const checked = new Set<string>();
  for (const link of links) {
    for (const group of link.endpointGroups) {
      if (goneEndpointGroups.has(group)) throw inUse(`endpoint group ${group}`, link.name);
      if (link.isTouched && draft.get(TABLES.endpointGroups, group) === undefined) {
        throw notFound(`endpoint group ${group}`);
      }
    }
    const { packageGroup } = link;
    if (packageGroup === undefined) continue;
    if (gonePackageGroups.has(packageGroup))
      throw inUse(`package group ${packageGroup}`, link.name);
    if (!link.isTouched && !changedPackageGroups.has(packageGroup)) continue;
    if (draft.get(TABLES.packageGroups, packageGroup) === undefined) {
      throw notFound(`package group ${packageGroup}`);
    }
    // Links alike in what decides are checked once.
    if (!checked.has(link.likeness)) refuseLoop(pen, link);
    checked.add(link.likeness);
  }
}

interface Link {
  readonly name: string;
  readonly isTouched: boolean;
  readonly endpointGroups: readonly string[];
  readonly packageGroup: string | undefined;
  /** Equal where the wishes differ in nothing that a loop depends on. */
  readonly likeness: string;
  readonly wishes: () => ReturnType<typeof assignmentWishes>;
}

function refuseLoop({ draft }: Pen, { name, wishes }: Link): void {
  const found = contradictions(wishes(), planCatalog(draft));
  const [first] = found;
  if (first !== undefined) {
    throw new DeployError("INTENT_LOOP", { what: name, problem: first.text });
  }
}

function linksOf({ draft, parts }: Pen): readonly Link[] {
  const { zone } = parts.intents;
  const packages = (name: string) => draft.get(TABLES.packageGroups, name);
  const touched = new Map(
    [TABLES.assignments, TABLES.rules, TABLES.rollouts, TABLES.windows].map(
      (table: Table<unknown>) => [table, new Set(draft.touched(table))],
    ),
  );
  const isTouched = (table: Table<unknown>, id: string) => touched.get(table)?.has(id) === true;
  return [
    ...draft.all(TABLES.assignments).map((one) => ({
      name: `assignment ${assignmentName(one)}`,
      isTouched: isTouched(TABLES.assignments, `${one.endpointGroup}/${one.packageGroup}`),
      endpointGroups: [one.endpointGroup],
      packageGroup: one.packageGroup,
      likeness: likenessOf(one),
      wishes: () =>
        wishesWith(packages(one.packageGroup), (group) => assignmentWishes(one, group, zone)),
    })),
    ...draft.all(TABLES.rules).map((one) => ({
      name: `rule ${one.name}`,
      isTouched: isTouched(TABLES.rules, one.name),
      endpointGroups: [one.endpointGroup],
      packageGroup: one.packageGroup,
      likeness: `${one.name} ${likenessOf(one)}`,
      wishes: () =>
        wishesWith(packages(one.packageGroup), (group) =>
          // What a disabled rule would do must be sound as well.
          ruleWishes({ ...one, isEnabled: true }, group, zone),
        ),
    })),
    ...draft.all(TABLES.rollouts).map((one) => ({
      name: `rollout ${one.name}`,
      isTouched: isTouched(TABLES.rollouts, one.name),
      endpointGroups: [one.endpointGroup, ...one.rings.flatMap((ring) => ring.endpointGroup ?? [])],
      packageGroup: one.packageGroup,
      likeness: likenessOf(one),
      wishes: () =>
        wishesWith(packages(one.packageGroup), (group) =>
          rolloutWishes(one, group, zone, undefined),
        ),
    })),
    ...draft.all(TABLES.windows).map((one) => ({
      name: `window ${one.name}`,
      isTouched: isTouched(TABLES.windows, one.name),
      endpointGroups: [one.endpointGroup],
      packageGroup: undefined,
      likeness: "",
      wishes: () => [],
    })),
  ];
}

function likenessOf({
  packageGroup,
  schedule,
}: {
  readonly packageGroup: string;
  readonly schedule?: Schedule | undefined;
}): string {
  return `${packageGroup} ${schedule?.autoUninstall ?? true}`;
}

function wishesWith<G, W>(group: G | undefined, make: (group: G) => readonly W[]): readonly W[] {
  return group === undefined ? [] : make(group);
}

function goneOf({ draft }: Pen, table: Table<unknown>): ReadonlySet<string> {
  return new Set(draft.touched(table).filter((id) => draft.get(table, id) === undefined));
}

function inUse(what: string, users: string): DeployError {
  return new DeployError("INTENT_IN_USE", { what, users });
}
