/** Members of a group, also of a large one with a query: looked at in portions, so that others are served. */
import { setImmediate as breath } from "node:timers/promises";
import { TABLES, type EndpointRecord } from "../store/tables.ts";
import type { Parts } from "./parts.ts";

/** A few milliseconds each. */
const PORTION = 2000;

/** Calls for every member; `see` must not wait. */
export async function walkGroup(
  { records, intents }: Parts,
  name: string,
  see: (member: EndpointRecord, groups: readonly string[]) => void,
): Promise<void> {
  const group = records.get(TABLES.endpointGroups, name);
  if (group === undefined) return;
  const isListed = group.query === undefined;
  const candidates = isListed ? intents.membersOf(name) : records.all(TABLES.endpoints);
  for (const [at, one] of candidates.entries()) {
    if (at % PORTION === PORTION - 1) await breath();
    const groups = intents.groupsOf(one);
    if (groups.includes(name)) see(one, groups);
  }
}

export async function groupMembers(parts: Parts, name: string): Promise<readonly EndpointRecord[]> {
  const members: EndpointRecord[] = [];
  await walkGroup(parts, name, (member) => members.push(member));
  return members;
}
