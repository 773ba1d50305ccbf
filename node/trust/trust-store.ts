/**
 * The trust store of a node: what it has accepted, what it will never accept again, and the only way
 * from a check-in answer to something to do. A refused answer changes nothing.
 */
import { join } from "node:path";
import type {
  CheckInAnswer,
  CheckInRequest,
  Fleet,
  Membership,
  Roster,
} from "../../protocol/check-in.ts";
import { parseMembership, parseRoster } from "../../protocol/check-in.ts";
import { EnvelopeSchema, peekStatement, type Envelope } from "../../protocol/dsse.ts";
import { DeployError, type ErrorCode } from "../../protocol/errors.ts";
import { packageRefText, type EndpointId } from "../../protocol/ids.ts";
import { parserOf, readJson, type Parse } from "../../protocol/json.ts";
import { CHECK_IN_ANSWER_MAX_BYTES, MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { matchOf, parseManifest, type Manifest } from "../../protocol/manifest.ts";
import { isSameJson, sha256Of } from "../../protocol/trust/metadata.ts";
import {
  checkAnswer,
  membershipIn,
  statementKey,
  type AnswerContext,
  type CheckedAnswer,
} from "./answer-check.ts";
import { TrustRecords } from "./trust-records.ts";
import {
  parseFloors,
  parseHeldFiles,
  pinnedState,
  viewOf,
  type Held,
  type TrustState,
} from "./trust-state.ts";
import type { VerifiedInstruction } from "./verified-instruction.ts";

/** `held` of a check-in, without the session that the uplink knows about. */
export type HeldVersions = Omit<CheckInRequest["held"], "sessionMs">;

export type AcceptResult =
  | { readonly kind: "accepted"; readonly instructions: readonly VerifiedInstruction[] }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly detail: string };

/** A fresh instant is written at most this often; after a crash the floor is that much lower at worst. */
const TIME_FLOOR_STEP_MS = 60_000;
/** Bound of what is read back from the store: two repositories of a few hundred kilobytes. */
const RECORD_MAX_BYTES = 64 * 1024 * 1024;

const parseEnvelope = parserOf("a stored statement", EnvelopeSchema);

export class TrustStore implements AsyncDisposable {
  readonly #records: TrustRecords;
  readonly #scratchDir: string;
  #current: CheckedAnswer | undefined;
  #writtenTimeMs: number;

  private constructor(
    records: TrustRecords,
    scratchDir: string,
    current: CheckedAnswer | undefined,
  ) {
    this.#records = records;
    this.#scratchDir = scratchDir;
    this.#current = current;
    this.#writtenTimeMs = current?.state.floors.timeMs ?? 0;
  }

  /** Opens or makes the store. Throws TRUST_STORE_DAMAGED; a damaged store never starts empty. */
  static async open(dir: string): Promise<TrustStore> {
    const records = await TrustRecords.open(dir);
    try {
      return new TrustStore(records, join(dir, "scratch"), await storedState(records));
    } catch (cause) {
      await records.close();
      if (cause instanceof DeployError && cause.code === "TRUST_STORE_DAMAGED") throw cause;
      throw new DeployError("TRUST_STORE_DAMAGED", { problem: "a record is malformed" }, { cause });
    }
  }

  /** Whether a fleet is pinned. */
  isPinned(): boolean {
    return this.#current !== undefined;
  }

  /**
   * Trusts the roots of `fleet` from now on; the caller has compared its pin with the join token
   * (trust E1). Pinning the same fleet again changes nothing; another one throws TRUST_OTHER_FLEET.
   */
  async pin(fleet: Fleet): Promise<void> {
    if (this.#current !== undefined) {
      if (isSameJson(this.#current.state.fleet, fleet)) return;
      throw new DeployError("TRUST_OTHER_FLEET", { fleet: this.#current.state.fleet.fleet });
    }
    const state = pinnedState(fleet);
    await this.#commit({ state, view: viewOf(state) });
  }

  /** The versions held, for the next check-in; the answer brings what is newer. */
  held(): HeldVersions {
    const { state, view } = this.#pinned();
    return {
      directive: view.directiveVersion,
      catalog: view.catalogVersion,
      catalogRoot: view.catalogRootVersion,
      directorRoot: view.directorRoot.version,
      roster: state.floors.rosterVersion,
      membershipMs: state.floors.membershipMs,
    };
  }

  /** Believes an answer whole or not at all. One call at a time. */
  async accept(
    answer: CheckInAnswer,
    context: Omit<AnswerContext, "scratchDir">,
  ): Promise<AcceptResult> {
    const current = this.#pinned();
    let next: CheckedAnswer;
    try {
      next = await checkAnswer(current, answer, { ...context, scratchDir: this.#scratchDir });
    } catch (cause) {
      if (!(cause instanceof DeployError)) throw cause;
      return { kind: "refused", code: refusalCode(cause.code), detail: cause.message };
    }
    await this.#commit(next);
    return { kind: "accepted", instructions: next.view.instructions };
  }

  /** What the last accepted directive asks for, in order. */
  instructions(): readonly VerifiedInstruction[] {
    return this.#pinned().view.instructions;
  }

  /** The latest instant that the coordinator has signed for this node (trust M19). */
  signedMs(): number {
    return this.#pinned().state.floors.timeMs;
  }

  roster(): Roster | undefined {
    return this.#pinned().state.roster?.statement;
  }

  /** This node's own membership: the envelope is shown to peers. */
  membership(): { readonly envelope: Envelope; readonly membership: Membership } | undefined {
    const held = this.#pinned().state.membership;
    return held === undefined ? undefined : { envelope: held.envelope, membership: held.statement };
  }

  /** Hash before parsing (trust 2.5 step 4). Throws TRUST_MANIFEST, TRUST_MATCH or DOCUMENT_INVALID. */
  verifyManifest(bytes: Uint8Array, instruction: VerifiedInstruction): Manifest {
    const what = packageRefText(instruction.ref);
    const isSigned =
      bytes.byteLength === instruction.manifestBytes &&
      sha256Of(bytes) === instruction.manifestDigest;
    if (!isSigned) throw new DeployError("TRUST_MANIFEST", { what });
    const manifest = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
    const isNamed =
      packageRefText(manifest) === what && isSameJson(matchOf(manifest), instruction.match);
    if (!isNamed) throw new DeployError("TRUST_MATCH", { what });
    return manifest;
  }

  /** For the swarm: throws where a peer's membership is not of this fleet, for it, and in force. */
  verifyMembership(envelope: Envelope, endpoint: EndpointId, nowMs: number): Membership {
    const { state, view } = this.#pinned();
    return membershipIn(envelope, statementKey(view.directorRoot), {
      fleet: state.fleet.fleet,
      endpoint,
      referenceMs: Math.max(nowMs, state.floors.timeMs),
    });
  }

  async close(): Promise<void> {
    await this.#records.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #pinned(): CheckedAnswer {
    if (this.#current === undefined) throw new DeployError("TRUST_NOT_PINNED");
    return this.#current;
  }

  // Files and floors go to disk in one synced batch, so no crash can part them (trust M6).
  async #commit(next: CheckedAnswer): Promise<void> {
    const before = this.#current?.state;
    const values = new Map<string, string>();
    for (const [key, value] of Object.entries(recordsOf(next.state))) {
      const isChanged = before === undefined || recordsOf(before)[key] !== value;
      if (isChanged && value !== undefined) values.set(key, JSON.stringify(value));
    }
    const { timeMs } = next.state.floors;
    const isTimeDue = timeMs - this.#writtenTimeMs >= TIME_FLOOR_STEP_MS;
    if (values.size > 0 || isTimeDue) {
      values.set("floors", JSON.stringify(next.state.floors));
      await this.#records.commit(values);
      this.#writtenTimeMs = timeMs;
    }
    this.#current = next;
  }
}

// Everything but the floors, by identity: a part that did not change is the same object.
function recordsOf(state: TrustState): Readonly<Record<string, unknown>> {
  return {
    fleet: state.fleet,
    director: state.director,
    catalog: state.catalog,
    roster: state.roster?.envelope,
    membership: state.membership?.envelope,
  };
}

async function storedState(records: TrustRecords): Promise<CheckedAnswer | undefined> {
  const fleet = await storedJson(records, "fleet");
  const rest = {
    director: await storedJson(records, "director"),
    catalog: await storedJson(records, "catalog"),
    floors: await storedJson(records, "floors"),
  };
  if (fleet === undefined && Object.values(rest).every((value) => value === undefined)) {
    return undefined;
  }
  const pinned = pinnedState(fleet);
  const floors = parseFloors(rest.floors);
  const unopened: TrustState = {
    ...pinned,
    director: parseHeldFiles(rest.director),
    catalog: parseHeldFiles(rest.catalog),
    floors,
  };
  const roster = await storedStatement(records, "roster", parseRoster);
  const membership = await storedStatement(records, "membership", parseMembership);
  const isComplete =
    floors.rosterVersion === (roster?.statement.version ?? 0) &&
    floors.membershipMs === (membership?.statement.notAfterMs ?? 0);
  if (!isComplete) {
    throw new DeployError("TRUST_STORE_DAMAGED", { problem: "a statement is missing" });
  }
  return { state: { ...unopened, roster, membership }, view: viewOf(unopened) };
}

// Its signature was checked when it was accepted, perhaps by a key that has been rotated since.
async function storedStatement<T>(
  records: TrustRecords,
  key: "roster" | "membership",
  parse: Parse<T>,
): Promise<Held<T> | undefined> {
  const value = await storedJson(records, key);
  if (value === undefined) return undefined;
  const envelope = parseEnvelope(value);
  return { envelope, statement: parse(peekStatement(envelope, CHECK_IN_ANSWER_MAX_BYTES)) };
}

async function storedJson(records: TrustRecords, key: string): Promise<unknown> {
  const text = await records.read(key);
  return text === undefined ? undefined : readJson(key, text, RECORD_MAX_BYTES);
}

function refusalCode(code: ErrorCode): ErrorCode {
  if (code === "SIGNATURE_INVALID") return "TRUST_SIGNATURE";
  return code.startsWith("TRUST_") ? code : "TRUST_METADATA";
}
