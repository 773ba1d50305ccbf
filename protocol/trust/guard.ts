/**
 * The guard: looks at the raw text of every metadata file before the TUF library does, and refuses what
 * that library is known to let through (trust M4, M12…M19). Pure: the caller gives the time.
 */
import { DeployError } from "../errors.ts";
import { packageRefOfTargetPath, type EndpointId } from "../ids.ts";
import { canonicalText, readJson } from "../json.ts";
import { TUF_VERSION_MAX_STEP } from "../limits.ts";
import {
  FILE_RULES,
  binOf,
  keyIdOf,
  type FileKind,
  type Repository,
  type Root,
  type Signed,
  type SignedOf,
  type TufKey,
  type TufRole,
} from "./metadata.ts";
import { isSmallOrderKey } from "./small-order.ts";

/** One file that passed the guard; its signatures are still unchecked. */
export type GuardedFile = {
  readonly [K in FileKind]: {
    readonly kind: K;
    readonly name: string;
    readonly version: number;
    readonly expiresMs: number;
    readonly file: Signed<SignedOf[K]>;
  };
}[FileKind];

export interface GuardRules {
  readonly repository: Repository;
  /** Whose directive it must be; only for the director (trust M10). */
  readonly endpoint?: EndpointId;
  /** Version of the same file held so far; 0 or absent for none. */
  readonly heldVersion?: number;
}

/** Which kind of file a name stands for. Throws TRUST_METADATA for every other name. */
export function kindOfFile(name: string, repository: Repository): FileKind {
  if (/^(?:[1-9]\d{0,8}\.)?root\.json$/u.test(name)) return "root";
  if (name === "timestamp.json") return "timestamp";
  if (name === "snapshot.json") return "snapshot";
  if (name === "targets.json") return repository === "catalog" ? "delegation" : "directive";
  if (repository === "catalog" && /^bin-[0-9a-f]{2}\.json$/u.test(name)) return "bin";
  throw malformed(name, "the repository has no file of this name");
}

/** Checks one file. Throws TRUST_METADATA, TRUST_WRONG_ENDPOINT or TRUST_ROLLBACK. */
export function guardFile(name: string, text: string, rules: GuardRules): GuardedFile {
  const guarded = guardedFile(name, text, kindOfFile(name, rules.repository));
  const { signed, signatures } = guarded.file;
  refuseRepeats(
    name,
    "signature",
    signatures.map(({ keyid }) => keyid),
  );
  refuseVersion(name, guarded.version, rules.heldVersion ?? 0);
  switch (guarded.kind) {
    case "root":
      refuseRoot(name, guarded.file.signed, rules.repository);
      break;
    case "snapshot":
      refuseUnpinnedTargets(name, guarded.file.signed, rules.repository);
      break;
    case "delegation":
      refuseKeys(name, guarded.file.signed.delegations.keys);
      refuseRole(
        name,
        guarded.file.signed.delegations.succinct_roles,
        guarded.file.signed.delegations.keys,
      );
      break;
    case "bin":
      refuseTargetNames(name, Object.keys(guarded.file.signed.targets), name.slice(0, -5));
      break;
    case "directive":
      refuseTargetNames(name, Object.keys(guarded.file.signed.targets));
      break;
    case "timestamp":
      break;
    default:
      guarded satisfies never;
  }
  if (guarded.kind !== "root") {
    refuseDevice(name, "x-device" in signed ? signed["x-device"] : undefined, rules);
  }
  return guarded;
}

/** Checks a root; `name` of the file does not matter. */
export function guardRoot(text: string, repository: Repository): Signed<Root> {
  const guarded = guardFile("root.json", text, { repository });
  if (guarded.kind !== "root") throw malformed("root.json", "it is not a root");
  return guarded.file;
}

/** trust M19: the guard judges expiry by the reference time, not by a clock that may be set back. */
export function refuseExpired(file: GuardedFile, referenceMs: number): void {
  if (file.expiresMs <= referenceMs) {
    const expiredAt = new Date(file.expiresMs).toISOString();
    throw new DeployError("TRUST_EXPIRED", { what: file.name, expiredAt });
  }
}

function guardedFile(name: string, text: string, kind: FileKind): GuardedFile {
  try {
    return parsedFile(name, text, kind);
  } catch (cause) {
    if (cause instanceof DeployError && !cause.code.startsWith("TRUST_")) {
      throw new DeployError("TRUST_METADATA", { what: name, problem: cause.message }, { cause });
    }
    throw cause;
  }
}

function parsedFile(name: string, text: string, kind: FileKind): GuardedFile {
  const value = readJson(name, text, FILE_RULES[kind].limitBytes);
  // trust M18: repeated keys, lone surrogates, other spellings of numbers and text all end here, for
  // there is one spelling only and it must come out again exactly as it came in.
  if (!text.isWellFormed() || !isCanonical(value, text)) {
    throw malformed(name, "it is not canonical JSON");
  }
  const { limitBytes: _bound, parse } = FILE_RULES[kind];
  const { version, expires } = parse(value).signed;
  const shared = { name, version, expiresMs: instantMs(name, expires) };
  switch (kind) {
    case "root":
      return { kind, ...shared, file: FILE_RULES.root.parse(value) };
    case "timestamp":
      return { kind, ...shared, file: FILE_RULES.timestamp.parse(value) };
    case "snapshot":
      return { kind, ...shared, file: FILE_RULES.snapshot.parse(value) };
    case "delegation":
      return { kind, ...shared, file: FILE_RULES.delegation.parse(value) };
    case "bin":
      return { kind, ...shared, file: FILE_RULES.bin.parse(value) };
    case "directive":
      return { kind, ...shared, file: FILE_RULES.directive.parse(value) };
    default:
      return kind satisfies never;
  }
}

function isCanonical(value: unknown, text: string): boolean {
  try {
    return canonicalText(value) === text;
  } catch (cause) {
    // The canonical form knows no fractions.
    if (cause instanceof TypeError) return false;
    throw cause;
  }
}

// trust M15: the pattern is the schema's; here 30 February and the like are refused.
function instantMs(name: string, expires: string): number {
  const ms = Date.parse(expires);
  if (Number.isNaN(ms) || `${new Date(ms).toISOString().slice(0, 19)}Z` !== expires) {
    throw malformed(name, "its expiry is not an instant");
  }
  return ms;
}

function refuseVersion(name: string, version: number, heldVersion: number): void {
  // trust M12: a jump this far would leave no room for honest versions.
  if (version - heldVersion > TUF_VERSION_MAX_STEP) {
    throw malformed(name, `version ${version} is too far ahead of ${heldVersion}`);
  }
}

function refuseRoot(name: string, root: Root, repository: Repository): void {
  if (root["x-repository"] !== repository) {
    throw malformed(name, `it is the root of the ${root["x-repository"]}`);
  }
  refuseKeys(name, root.keys);
  for (const role of Object.values(root.roles)) refuseRole(name, role, root.keys);
}

// trust M4: one key under two ids would count twice.
function refuseKeys(name: string, keys: Readonly<Record<string, TufKey>>): void {
  for (const [id, key] of Object.entries(keys)) {
    if (keyIdOf(key) !== id) throw malformed(name, "a key id is not the digest of its key");
    if (isSmallOrderKey(Buffer.from(key.keyval.public, "hex"))) {
      throw malformed(name, "a key is of small order");
    }
  }
  refuseRepeats(
    name,
    "public key",
    Object.values(keys).map((key) => key.keyval.public),
  );
}

function refuseRole(name: string, role: TufRole, keys: Readonly<Record<string, TufKey>>): void {
  refuseRepeats(name, "key id", role.keyids);
  if (role.threshold > role.keyids.length) throw malformed(name, "a threshold is out of reach");
  if (role.keyids.some((id) => !Object.hasOwn(keys, id))) {
    throw malformed(name, "a role names an unknown key");
  }
}

function refuseUnpinnedTargets(
  name: string,
  snapshot: SignedOf["snapshot"],
  repository: Repository,
): void {
  const targets = snapshot.meta["targets.json"];
  if (targets === undefined || !("hashes" in targets)) {
    throw malformed(name, "targets.json is not pinned by hash");
  }
  if (repository === "director" && Object.keys(snapshot.meta).length !== 1) {
    throw malformed(name, "the director delegates nothing");
  }
}

// trust M16: only names of our own grammar, each in the bin that its digest chooses.
function refuseTargetNames(name: string, paths: readonly string[], bin?: string): void {
  for (const path of paths) {
    packageRefOf(name, path);
    if (bin !== undefined && binOf(path) !== bin) {
      throw malformed(name, `the target ${path} belongs to another bin`);
    }
  }
}

function packageRefOf(name: string, path: string): void {
  try {
    packageRefOfTargetPath(path);
  } catch (cause) {
    const problem = `the target name "${path.slice(0, 80)}" is not vendor/product/version`;
    throw new DeployError("TRUST_METADATA", { what: name, problem }, { cause });
  }
}

function refuseDevice(name: string, device: EndpointId | undefined, rules: GuardRules): void {
  if (rules.repository === "catalog") {
    if (device !== undefined) throw malformed(name, "a catalog file names a device");
    return;
  }
  if (device === undefined) throw malformed(name, "it names no device");
  if (rules.endpoint !== undefined && device !== rules.endpoint) {
    throw new DeployError("TRUST_WRONG_ENDPOINT", { what: name, device });
  }
}

function refuseRepeats(name: string, what: string, list: readonly string[]): void {
  if (new Set(list).size !== list.length) throw malformed(name, `a ${what} occurs twice`);
}

function malformed(what: string, problem: string): DeployError {
  return new DeployError("TRUST_METADATA", { what, problem });
}
