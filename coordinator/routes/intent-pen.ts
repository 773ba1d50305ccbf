/** What writes a draft of intent, and how it looks things up. */
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, type EndpointName, type PackageRef } from "../../protocol/ids.ts";
import type { ContainerJobRecord, EndpointGroupRecord } from "../store/intent-records.ts";
import type { RecordDraft } from "../store/record-draft.ts";
import { TABLES, type EndpointRecord, type PackageRecord } from "../store/tables.ts";
import type { Parts } from "./parts.ts";

export interface Pen {
  readonly parts: Parts;
  readonly draft: RecordDraft;
  readonly nowMs: number;
}

export function notFound(what: string): DeployError {
  return new DeployError("NOT_FOUND", { what });
}

/** Throws NOT_FOUND. */
export function requireNamed({ draft }: Pen, name: EndpointName): EndpointRecord {
  const id = draft.get(TABLES.names, name)?.endpoint;
  const record = id === undefined ? undefined : draft.get(TABLES.endpoints, id);
  if (record === undefined) throw notFound(`endpoint ${name}`);
  return record;
}

/** Throws NOT_FOUND. */
export function requirePackage({ draft }: Pen, ref: PackageRef): PackageRecord {
  const record = draft.get(TABLES.packages, packageRefText(ref));
  if (record === undefined) throw notFound(`package ${packageRefText(ref)}`);
  return record;
}

/** Members of a group that are listed, as the draft has them. */
export function listedMembers(
  { parts, draft }: Pen,
  { name }: EndpointGroupRecord,
): readonly EndpointRecord[] {
  const suffix = `/${name}`;
  const ids = new Set(parts.intents.memberIds(name));
  for (const id of draft.touched(TABLES.members)) if (id.endsWith(suffix)) ids.add(id);
  return [...ids].flatMap((id) => {
    if (draft.get(TABLES.members, id) === undefined) return [];
    return draft.get(TABLES.endpoints, id.slice(0, -suffix.length)) ?? [];
  });
}

/** Jobs of a container, as the draft has them. */
export function containerJobs({ parts, draft }: Pen, container: string): ContainerJobRecord[] {
  const ids = new Set(parts.intents.jobsOf(container));
  const infix = `/${container}/`;
  for (const id of draft.touched(TABLES.containerJobs)) if (id.includes(infix)) ids.add(id);
  return [...ids].flatMap((id) => draft.get(TABLES.containerJobs, id) ?? []);
}

export function containerJobId({ endpoint, container, sequence }: ContainerJobRecord): string {
  return `${endpoint}/${container}/${sequence}`;
}
