/**
 * What a node trusts at one moment, as plain data: pinned fleet, accepted files, floors, statements.
 * `answer-check.ts` computes the next state, `trust-store.ts` keeps it on disk.
 */
import { Type, type Static } from "typebox";
import {
  parseFleet,
  type Fleet,
  type Membership,
  type MetadataFiles,
  type Roster,
} from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Envelope } from "../../protocol/dsse.ts";
import { packageRefOfTargetPath, type Digest } from "../../protocol/ids.ts";
import { parserOf } from "../../protocol/json.ts";
import { guardFile, guardRoot, type GuardedFile } from "../../protocol/trust/guard.ts";
import {
  sha256Of,
  type Directive,
  type Repository,
  type Root,
} from "../../protocol/trust/metadata.ts";
import { isSignedBy } from "../../protocol/trust/signatures.ts";
import type { VerifiedInstruction } from "./verified-instruction.ts";

/** What must never go down again. */
export const FloorsSchema = Type.Object(
  {
    /** The latest instant that the coordinator has signed for this node (trust M19). */
    timeMs: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    /** Highest epoch accepted per package (trust M7). */
    epochs: Type.Record(
      Type.String({ maxLength: 200 }),
      Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    ),
    rosterVersion: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    membershipMs: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  },
  { additionalProperties: false },
);
export type Floors = Static<typeof FloorsSchema>;
export const parseFloors = parserOf("the floors of the trust store", FloorsSchema);
/** The accepted files of one repository, as stored. */
export const parseHeldFiles = parserOf(
  "the files of the trust store",
  Type.Record(Type.String({ pattern: "^[a-z0-9-]{1,20}\\.json$" }), Type.String()),
);
const NO_FLOORS: Floors = { timeMs: 0, epochs: {}, rosterVersion: 0, membershipMs: 0 };

/** A statement that was opened and checked, with the envelope to show to others. */
export interface Held<T> {
  readonly envelope: Envelope;
  readonly statement: T;
}

export interface TrustState {
  readonly fleet: Fleet;
  readonly director: MetadataFiles;
  readonly catalog: MetadataFiles;
  readonly floors: Floors;
  readonly roster: Held<Roster> | undefined;
  readonly membership: Held<Membership> | undefined;
}

/** The state right after pinning. Throws where the fleet description contradicts itself. */
export function pinnedState(value: unknown): TrustState {
  const fleet = parseFleet(value);
  refuseUnsignedRoot(fleet.catalogRoot, "catalog");
  refuseUnsignedRoot(fleet.directorRoot, "director");
  if (sha256Of(fleet.catalogRoot).slice(0, 16) !== fleet.fleet) {
    throw new DeployError("TRUST_METADATA", {
      what: "the fleet description",
      problem: "its id is not that of its root",
    });
  }
  return {
    fleet,
    director: { "root.json": fleet.directorRoot },
    catalog: { "root.json": fleet.catalogRoot },
    floors: NO_FLOORS,
    roster: undefined,
    membership: undefined,
  };
}

/** Facts of a state that every check-in needs; computed once per state. */
export interface TrustView {
  readonly directiveVersion: number;
  readonly directiveDigest: Digest | undefined;
  readonly catalogVersion: number;
  readonly catalogDigest: Digest | undefined;
  readonly catalogRootVersion: number;
  readonly directorRoot: Root;
  /** The file that expires first. */
  readonly firstToExpire: GuardedFile | undefined;
  readonly instructions: readonly VerifiedInstruction[];
}

export function viewOf(state: TrustState): TrustView {
  const director = heldFiles(state.director, "director");
  const catalog = heldFiles(state.catalog, "catalog");
  const byExpiry = [...director, ...catalog].toSorted((a, b) => a.expiresMs - b.expiresMs);
  const directive = director.find((file) => file.kind === "directive");
  return {
    directiveVersion: versionOf(director, "timestamp.json"),
    directiveDigest: digestOf(state.director["timestamp.json"]),
    catalogVersion: versionOf(catalog, "timestamp.json"),
    catalogDigest: digestOf(state.catalog["timestamp.json"]),
    catalogRootVersion: versionOf(catalog, "root.json"),
    directorRoot: guardRoot(state.director["root.json"] ?? "", "director").signed,
    firstToExpire: byExpiry.at(0),
    instructions: directive === undefined ? [] : instructionsOf(directive.file.signed),
  };
}

/** The directive of a set of trusted director files. */
export function directiveOf(files: MetadataFiles): Directive {
  const directive = heldFiles(files, "director").find((file) => file.kind === "directive");
  if (directive === undefined) {
    throw new DeployError("TRUST_INCOMPLETE", { what: "the directive's targets" });
  }
  return directive.file.signed;
}

/** In the order in which the coordinator wants them done. */
function instructionsOf(directive: Directive): readonly VerifiedInstruction[] {
  const all = Object.entries(directive.targets).flatMap(([targetPath, target]) =>
    target.custom.instructions.map((instruction) => ({
      ref: packageRefOfTargetPath(targetPath),
      targetPath,
      manifestDigest: target.hashes.sha256,
      manifestBytes: target.length,
      match: target.custom.match,
      swarm: target.custom.swarm,
      instruction,
    })),
  );
  return all.toSorted((a, b) => a.instruction.sequence - b.instruction.sequence);
}

function refuseUnsignedRoot(text: string, repository: Repository): void {
  const root = guardRoot(text, repository);
  if (!isSignedBy(root, root.signed.roles.root, root.signed.keys)) {
    throw new DeployError("TRUST_SIGNATURE", { what: `the root of the ${repository}` });
  }
}

function heldFiles(files: MetadataFiles, repository: Repository): readonly GuardedFile[] {
  return Object.entries(files).map(([name, text]) =>
    guardFile(name, text, { repository, heldVersion: Number.MAX_SAFE_INTEGER }),
  );
}

function versionOf(files: readonly GuardedFile[], name: string): number {
  return files.find((file) => file.name === name)?.version ?? 0;
}

function digestOf(text: string | undefined): Digest | undefined {
  return text === undefined ? undefined : sha256Of(text);
}
