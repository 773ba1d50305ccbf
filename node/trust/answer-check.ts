/**
 * Decides whether a check-in answer is believed (trust 2.5 steps 1 to 3): freshness, both repositories,
 * agreement of director and publisher, statements. Returns the next state or throws; it stores nothing.
 */
import type { KeyObject } from "node:crypto";
import type { TargetFile } from "tuf-js";
import {
  parseFreshness,
  parseMembership,
  parseRoster,
  type CheckInAnswer,
  type Freshness,
  type Membership,
  type Roster,
} from "../../protocol/check-in.ts";
import { ed25519PublicKey, openStatement, type Envelope } from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefOfTargetPath, type Digest, type EndpointId } from "../../protocol/ids.ts";
import { CHECK_IN_ANSWER_MAX_BYTES } from "../../protocol/limits.ts";
import { refuseExpired } from "../../protocol/trust/guard.ts";
import { isSameJson, type Directive, type Root } from "../../protocol/trust/metadata.ts";
import { newestRoot } from "../../protocol/trust/signatures.ts";
import { refreshMetadata } from "./metadata-refresh.ts";
import {
  directiveOf,
  viewOf,
  type Floors,
  type Held,
  type TrustState,
  type TrustView,
} from "./trust-state.ts";

const STATEMENT_MAX_BYTES = 4096;

export interface AnswerContext {
  readonly endpoint: EndpointId;
  /** The nonce of the request that this answers. */
  readonly nonce: string;
  readonly nowMs: number;
  readonly scratchDir: string;
}

export interface CheckedAnswer {
  readonly state: TrustState;
  readonly view: TrustView;
}

export async function checkAnswer(
  held: CheckedAnswer,
  answer: CheckInAnswer,
  context: AnswerContext,
): Promise<CheckedAnswer> {
  const { directive } = answer;
  const director =
    directive === undefined
      ? held.view.directorRoot
      : newestRoot(held.state.director["root.json"] ?? "", directive, "director");
  const key = statementKey(director);
  const freshness = openedFreshness(answer.freshness, key, held.state.floors, context);
  // trust M19: an endpoint whose clock was set back still knows the latest signed instant.
  const referenceMs = Math.max(context.nowMs, freshness.timeMs);
  const isUnchanged = directive === undefined && answer.catalog === undefined;
  const next = isUnchanged ? held : await refreshed(held, answer, { ...context, referenceMs });
  refuseUnlessFresh(next.view, freshness);
  if (next.view.firstToExpire !== undefined) refuseExpired(next.view.firstToExpire, referenceMs);
  const statements = openedStatements(held.state, answer, key, { ...context, referenceMs });
  const floors = {
    ...next.state.floors,
    timeMs: freshness.timeMs,
    rosterVersion: statements.roster?.statement.version ?? 0,
    membershipMs: statements.membership?.statement.notAfterMs ?? 0,
  };
  return { state: { ...next.state, ...statements, floors }, view: next.view };
}

/** The director's timestamp key: it signs freshness, memberships and rosters. */
export function statementKey(director: Root): KeyObject {
  const [id = ""] = director.roles.timestamp.keyids;
  const key = director.keys[id];
  if (key === undefined) throw new DeployError("TRUST_SIGNATURE", { what: "the director's root" });
  return ed25519PublicKey(Buffer.from(key.keyval.public, "hex"));
}

interface Reference extends AnswerContext {
  readonly referenceMs: number;
}

function openedFreshness(
  envelope: Envelope,
  key: KeyObject,
  floors: Floors,
  { endpoint, nonce }: AnswerContext,
): Freshness {
  const freshness = openStatement("freshness", envelope, key, parseFreshness, STATEMENT_MAX_BYTES);
  if (freshness.endpoint !== endpoint) throw wrongEndpoint("the freshness statement");
  // trust M8: only an answer to this very request counts; time never goes back either.
  if (freshness.nonce !== nonce || freshness.timeMs < floors.timeMs) {
    throw new DeployError("TRUST_STALE_ANSWER");
  }
  return freshness;
}

async function refreshed(
  { state }: CheckedAnswer,
  answer: CheckInAnswer,
  reference: Reference,
): Promise<CheckedAnswer> {
  const { endpoint, referenceMs, scratchDir } = reference;
  const shared = { endpoint, referenceMs, scratchDir };
  const director = await refreshMetadata({
    ...shared,
    repository: "director",
    held: state.director,
    received: answer.directive ?? {},
    targetPaths: [],
  });
  const directive = directiveOf(director.files);
  const catalog = await refreshMetadata({
    ...shared,
    repository: "catalog",
    held: state.catalog,
    received: answer.catalog ?? {},
    targetPaths: Object.keys(directive.targets),
  });
  refuseDisagreement(directive, catalog.targets);
  const epochs = risenEpochs(directive, state.floors.epochs);
  const next = {
    ...state,
    director: director.files,
    catalog: catalog.files,
    floors: { ...state.floors, epochs },
  };
  return { state: next, view: viewOf(next) };
}

// trust M1, M2: one target that only the director stands for condemns the whole directive.
function refuseDisagreement(directive: Directive, catalog: ReadonlyMap<string, TargetFile>): void {
  for (const [path, target] of Object.entries(directive.targets)) {
    const published = catalog.get(path);
    const isPublished =
      published !== undefined &&
      published.length === target.length &&
      isSameJson(published.hashes, target.hashes);
    if (!isPublished) throw new DeployError("TRUST_NOT_IN_CATALOG", { what: path });
    if (!isSameJson(published.custom["match"] ?? null, target.custom.match)) {
      throw new DeployError("TRUST_MATCH", { what: path });
    }
  }
}

// trust M7: also within one directive the highest epoch of a package retires the lower ones.
function risenEpochs(directive: Directive, floors: Floors["epochs"]): Floors["epochs"] {
  const risen = { ...floors };
  const targets = Object.entries(directive.targets).map(([path, { custom }]) => ({
    path,
    name: packageRefOfTargetPath(path).name,
    epoch: custom.match.epoch,
  }));
  for (const { name, epoch } of targets) risen[name] = Math.max(risen[name] ?? 1, epoch);
  for (const { path, name, epoch } of targets) {
    const floor = risen[name] ?? 1;
    if (epoch < floor) throw new DeployError("TRUST_EPOCH", { what: path, epoch, floor });
  }
  return risen;
}

function refuseUnlessFresh(view: TrustView, freshness: Freshness): void {
  refuseOther(
    "the directive",
    { version: view.directiveVersion, digest: view.directiveDigest },
    { version: freshness.directiveVersion, digest: freshness.directiveDigest },
  );
  refuseOther(
    "the catalog",
    { version: view.catalogVersion, digest: view.catalogDigest },
    { version: freshness.catalogVersion, digest: freshness.catalogDigest },
  );
}

interface InForce {
  readonly version: number;
  readonly digest: Digest | undefined;
}

function refuseOther(what: string, ours: InForce, signed: InForce): void {
  if (signed.version < ours.version) throw new DeployError("TRUST_ROLLBACK", { what });
  if (signed.version > ours.version) throw new DeployError("TRUST_INCOMPLETE", { what });
  if (signed.digest !== ours.digest) throw new DeployError("TRUST_EQUIVOCATION", { what });
}

function openedStatements(
  state: TrustState,
  answer: CheckInAnswer,
  key: KeyObject,
  reference: Reference,
): Pick<TrustState, "roster" | "membership"> {
  return {
    roster:
      answer.roster === undefined
        ? state.roster
        : openedRoster(answer.roster, key, state, reference),
    membership:
      answer.membership === undefined
        ? state.membership
        : openedMembership(answer.membership, key, state, reference),
  };
}

function openedRoster(
  envelope: Envelope,
  key: KeyObject,
  { floors }: TrustState,
  { endpoint }: Reference,
): Held<Roster> {
  const limit = CHECK_IN_ANSWER_MAX_BYTES;
  const statement = openStatement("roster", envelope, key, parseRoster, limit);
  if (statement.endpoint !== endpoint) throw wrongEndpoint("the roster");
  if (statement.version < floors.rosterVersion) {
    throw new DeployError("TRUST_ROLLBACK", { what: "the roster" });
  }
  return { envelope, statement };
}

function openedMembership(
  envelope: Envelope,
  key: KeyObject,
  { fleet, floors }: TrustState,
  { endpoint, referenceMs }: Reference,
): Held<Membership> {
  const statement = membershipIn(envelope, key, { fleet: fleet.fleet, endpoint, referenceMs });
  if (statement.notAfterMs < floors.membershipMs) {
    throw new DeployError("TRUST_ROLLBACK", { what: "the membership" });
  }
  return { envelope, statement };
}

/** A membership of `fleet` for exactly `endpoint`, in force at `referenceMs`; else it throws. */
export function membershipIn(
  envelope: Envelope,
  key: KeyObject,
  expected: { readonly fleet: string; readonly endpoint: EndpointId; readonly referenceMs: number },
): Membership {
  const limit = STATEMENT_MAX_BYTES;
  const statement = openStatement("membership", envelope, key, parseMembership, limit);
  if (statement.fleet !== expected.fleet || statement.endpoint !== expected.endpoint) {
    throw wrongEndpoint("the membership");
  }
  if (statement.notAfterMs <= expected.referenceMs) {
    throw new DeployError("TRUST_EXPIRED", { what: "the membership" });
  }
  return statement;
}

function wrongEndpoint(what: string): DeployError {
  return new DeployError("TRUST_WRONG_ENDPOINT", { what });
}
