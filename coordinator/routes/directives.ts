/**
 * The directive in force of one endpoint: planned lazily, signed again only when the instructions changed or
 * half of its life is over. Versions only grow, also over restarts.
 */
import type { DirectiveTarget } from "../../protocol/directive.ts";
import {
  packageRefText,
  targetPathOf,
  type EndpointId,
  type PackageRef,
} from "../../protocol/ids.ts";
import { canonicalText } from "../../protocol/json.ts";
import type { Plan } from "../core/plan/plan-model.ts";
import { digestOf } from "../store/catalog-shelf.ts";
import { setRecord } from "../store/records.ts";
import {
  TABLES,
  type DirectiveRecord,
  type EndpointRecord,
  type PackageRecord,
} from "../store/tables.ts";
import { signDirective, type DirectiveEntry } from "../trust/director.ts";
import { EXPIRY_MS } from "../trust/expiry.ts";
import type { Parts } from "./parts.ts";
import { gateSite, planFor, swarmTag, type PlanningParts } from "./planning.ts";

/** What directives are made from and signed with. */
type DirectiveParts = PlanningParts & Pick<Parts, "online" | "standing">;

export interface CurrentDirective {
  readonly directive: DirectiveRecord;
  /** The packages it names. */
  readonly refs: readonly PackageRef[];
}

interface Known extends CurrentDirective {
  /** What it was made from. */
  readonly plan: Plan;
  readonly gateSite: string;
}

type FindDirective = (record: EndpointRecord, nowMs: number) => Promise<CurrentDirective>;

export function directiveFinder(parts: DirectiveParts): FindDirective {
  const known = new Map<EndpointId, Known>();
  return async (record, nowMs) => {
    const plan = planFor(parts, record);
    const site = gateSite(parts, record.id);
    const last = known.get(record.id);
    const isSame = last?.plan === plan && last.gateSite === site;
    if (isSame && isYoung(last.directive, nowMs)) return last;
    const current = await makeDirective(parts, record, plan, nowMs);
    known.set(record.id, { ...current, plan, gateSite: site });
    return current;
  };
}

async function makeDirective(
  parts: DirectiveParts,
  record: EndpointRecord,
  plan: Plan,
  nowMs: number,
): Promise<CurrentDirective> {
  const targets = entriesOf(parts, record, plan);
  const refs = [
    ...new Map(plan.instructions.map(({ ref }) => [packageRefText(ref), ref])).values(),
  ];
  const content = digestOf(canonicalText(targets));
  return parts.records.change(() => {
    const stored = parts.records.get(TABLES.directives, record.id);
    if (stored?.content === content && isYoung(stored, nowMs)) {
      return { changes: [], result: { directive: stored, refs } };
    }
    const version = (stored?.version ?? 0) + 1;
    const { online } = parts;
    const files = signDirective({ online, endpoint: record.id, version, targets, nowMs });
    const directive = { version, content, signedMs: nowMs, files };
    const changes = [setRecord(TABLES.directives, record.id, directive)];
    return { changes, result: { directive, refs } };
  });
}

function isYoung({ signedMs }: DirectiveRecord, nowMs: number): boolean {
  return nowMs - signedMs < EXPIRY_MS.director / 2;
}

function entriesOf(
  parts: DirectiveParts,
  record: EndpointRecord,
  plan: Plan,
): readonly DirectiveEntry[] {
  const entries = new Map<string, DirectiveEntry>();
  for (const { ref, from: _from, ...instruction } of plan.instructions) {
    const known = parts.records.get(TABLES.packages, packageRefText(ref));
    if (known === undefined) continue;
    const path = targetPathOf(ref);
    const entry = entries.get(path) ?? emptyEntry(parts, record, known, path);
    const custom: DirectiveTarget = {
      ...entry.custom,
      instructions: [...entry.custom.instructions, instruction],
    };
    entries.set(path, { ...entry, custom });
  }
  return [...entries.values()];
}

function emptyEntry(
  parts: DirectiveParts,
  { id }: EndpointRecord,
  { manifest, manifestBytes, match }: PackageRecord,
  path: string,
): DirectiveEntry {
  const swarm = swarmTag(parts, gateSite(parts, id), manifest);
  return {
    path,
    length: manifestBytes,
    sha256: manifest,
    custom: { match, swarm, instructions: [] },
  };
}
