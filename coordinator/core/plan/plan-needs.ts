/**
 * What comes before a package for its sake: its dependents, and the uninstalls of what it takes the place of.
 * Everything is put on the desk once, and nothing behind what has its place already.
 */
import { packageRefText } from "../../../protocol/ids.ts";
import type { Operation } from "../../../protocol/intent.ts";
import { ATTEMPT_LIMIT_DEFAULT } from "../../../protocol/limits.ts";
import type { Fault } from "./dependencies.ts";
import type { Dependents } from "./plan-dependents.ts";
import { operationKey, ownIdentity, sharedUninstall, standingOf } from "./plan-drafts.ts";
import { fromText } from "./plan-identity.ts";
import type { PlanInput, PlanPackage, WaitingJob } from "./plan-model.ts";
import type { PlanPresence } from "./plan-presence.ts";
import { exhaustedReason, type Job } from "./plan-verdicts.ts";
import type { Wish } from "./plan-wishes.ts";

/** Something that is handed out. */
export interface Entry {
  readonly id: string;
  readonly revision: string;
  readonly operation: Operation;
  readonly known: PlanPackage;
  /** Whose schedule counts. */
  readonly deciding: Wish;
  /** Wished for itself, not only needed by something else. */
  readonly isWished: boolean;
  readonly isKept: boolean;
  readonly attemptLimit: number;
  readonly from: readonly string[];
  /** Ids of entries that have to succeed before. */
  readonly after: readonly string[];
}

/** One of the jobs that do the same, for all of them. */
export interface Representative {
  readonly job: Job;
  readonly from: readonly string[];
}

/** What is collected on the way through the jobs. */
export interface Desk {
  readonly input: PlanInput;
  readonly presence: PlanPresence;
  readonly dependents: Dependents;
  readonly entries: Map<string, Entry>;
  readonly waiting: WaitingJob[];
  readonly held: Job[];
  /** By operation and version. */
  readonly byKey: ReadonlyMap<string, Representative>;
}

const NOTHING = { below: [], direct: [] };

export function launchDependent(
  known: PlanPackage,
  { deciding, from, after }: Pick<Entry, "deciding" | "from" | "after">,
  desk: Desk,
): string {
  const { id, revision } = ownIdentity(known, deciding, desk);
  const shared = { id, revision, known, deciding, from, after, isWished: false, isKept: false };
  add({ ...shared, operation: "launch", attemptLimit: ATTEMPT_LIMIT_DEFAULT }, desk);
  return id;
}

/** Why a dependent cannot be launched before its primary; undefined where it can. */
export function launchFault(known: PlanPackage, deciding: Wish, desk: Desk): Fault | undefined {
  const { record } = ownIdentity(known, deciding, desk);
  if (record === undefined || standingOf(record, ATTEMPT_LIMIT_DEFAULT) !== "exhausted") return;
  const reason = exhaustedReason(record.attempt, record.atMs);
  return { ...reason, text: `The launch of ${packageRefText(known)}: ${reason.text}` };
}

interface Need {
  readonly deciding: Wish;
  readonly from: readonly string[];
  /** Nothing new is done for it. */
  readonly isOnlyKept: boolean;
}

/** A dependent: what is wished of it for itself keeps its job, and it may come earlier for its primary. */
export function needed(known: PlanPackage, { deciding, from, isOnlyKept }: Need, desk: Desk): void {
  const { presence, dependents } = desk;
  const { id, revision, attemptLimit, isKept, own } = installing(known, desk);
  if (!isKept && (isOnlyKept || presence.has(known))) return;
  // What has its place already has all that comes before it, too: nothing may be put behind it now.
  const isPlaced = desk.entries.has(id);
  const uninstallsOlder = own?.deciding.intent.schedule.uninstallsOld ?? true;
  const replaced = isKept || isPlaced ? [] : dependents.replacedBy(known, uninstallsOlder);
  const before = replaced.map((old) => takeOff(old, { deciding, from }, desk));
  const direct = isPlaced ? [] : dependents.closureOf(known).direct;
  if (!isOnlyKept) {
    const { uninstallsOld } = deciding.intent.schedule;
    dependents.settle({ known, uninstallsOld, from: from[0] ?? fromText(deciding.intent) });
  }
  add(
    {
      id,
      revision,
      known,
      from,
      isKept,
      attemptLimit,
      operation: "install",
      deciding: own?.deciding.hold === undefined ? (own?.deciding ?? deciding) : deciding,
      isWished: own !== undefined,
      after: [...before, ...idsOf(direct, desk)],
    },
    desk,
  );
}

/** The job that installs it: one that is wished for itself where that is due, a container's included. */
function installing(
  known: PlanPackage,
  { byKey, dependents }: Desk,
): Pick<Entry, "id" | "revision" | "attemptLimit" | "isKept"> & { readonly own: Job | undefined } {
  const shared = dependents.installOf(known);
  const own = byKey.get(operationKey("install", known))?.job;
  const { id, revision, record } = own ?? shared;
  const attemptLimit = own?.deciding.intent.schedule.attemptLimit ?? shared.attemptLimit;
  const isKept = standingOf(record, attemptLimit) === "done";
  return { id, revision, attemptLimit, isKept, own };
}

/** The uninstall of what something else takes the place of, or of what is wished gone: one job serves both. */
export function takeOff(
  old: PlanPackage,
  { deciding, from }: Omit<Need, "isOnlyKept">,
  desk: Desk,
): string {
  const ordered = desk.byKey.get(operationKey("uninstall", old))?.job;
  const { id, revision } = ordered ?? sharedUninstall(old, desk);
  const isPlaced = desk.entries.has(id);
  const { below, direct } = isPlaced ? NOTHING : desk.dependents.uninstallOf(old);
  for (const one of below) needed(one, { deciding, from, isOnlyKept: false }, desk);
  add(
    {
      id,
      revision,
      known: old,
      operation: "uninstall",
      deciding: ordered?.deciding ?? deciding,
      isWished: ordered !== undefined,
      isKept: false,
      attemptLimit: ordered?.deciding.intent.schedule.attemptLimit ?? ATTEMPT_LIMIT_DEFAULT,
      from,
      after: idsOf(direct, desk),
    },
    desk,
  );
  return id;
}

/** Once, at its first place; those who want it add up. */
export function add(entry: Entry, { entries }: Desk): void {
  const before = entries.get(entry.id);
  if (before === undefined) {
    entries.set(entry.id, entry);
    return;
  }
  const from = [...new Set([...before.from, ...entry.from])];
  const after = [...new Set([...before.after, ...entry.after])].filter((id) => id !== entry.id);
  entries.set(entry.id, { ...before, from, after, isWished: before.isWished || entry.isWished });
}

export function settle(known: PlanPackage, { intent }: Wish, { dependents }: Desk): void {
  const { uninstallsOld } = intent.schedule;
  dependents.settle({ known, uninstallsOld, from: fromText(intent) });
}

/** Ids of the installs of these packages that are handed out; what is there needs none. */
export function idsOf(all: readonly PlanPackage[], desk: Desk): readonly string[] {
  return all.flatMap((known) => {
    const { id } = installing(known, desk);
    return desk.entries.has(id) ? [id] : [];
  });
}
