/**
 * The director: an endpoint's own TUF repository, signed online. It chooses among published packages; all
 * three files name the endpoint, so none fits another (trust M10).
 */
import type { MetadataFiles } from "../../protocol/check-in.ts";
import type { DirectiveTarget } from "../../protocol/directive.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest, EndpointId } from "../../protocol/ids.ts";
import { TUF_TARGETS_MAX_COUNT } from "../../protocol/limits.ts";
import { SPEC_VERSION, instantText } from "../../protocol/trust/metadata.ts";
import { signedMetadataText } from "../../protocol/trust/signatures.ts";
import { pinned } from "./catalog-head.ts";
import { EXPIRY_MS } from "./expiry.ts";
import { keyOfSeed, type OnlineKeys } from "./fleet-keys.ts";

/** One package of a directive; `length` and `sha256` are those of the manifest. */
export interface DirectiveEntry {
  /** Target path, such as acme/app/1.2.3. */
  readonly path: string;
  readonly length: number;
  readonly sha256: Digest;
  readonly custom: DirectiveTarget;
}

export interface DirectiveInput {
  readonly online: OnlineKeys;
  readonly endpoint: EndpointId;
  /** Greater than every version this endpoint was given before. */
  readonly version: number;
  readonly targets: readonly DirectiveEntry[];
  readonly nowMs: number;
}

/** `targets.json`, `snapshot.json` and `timestamp.json` of one endpoint, all of the same version. */
export function signDirective(input: DirectiveInput): MetadataFiles {
  const { online, endpoint, version, nowMs } = input;
  if (input.targets.length > TUF_TARGETS_MAX_COUNT) {
    throw new DeployError("INPUT_INVALID", {
      what: `a directive of ${input.targets.length} packages`,
      expected: `at most ${TUF_TARGETS_MAX_COUNT}`,
    });
  }
  const key = keyOfSeed(online.director);
  const shared = {
    spec_version: SPEC_VERSION,
    version,
    expires: instantText(nowMs + EXPIRY_MS.director),
    "x-device": endpoint,
  };
  const targets = signedMetadataText(
    { _type: "targets", ...shared, targets: Object.fromEntries(input.targets.map(namedTarget)) },
    [key],
  );
  const snapshot = signedMetadataText(
    { _type: "snapshot", ...shared, meta: { "targets.json": pinned(targets, version) } },
    [key],
  );
  const timestamp = signedMetadataText(
    { _type: "timestamp", ...shared, meta: { "snapshot.json": pinned(snapshot, version) } },
    [key],
  );
  return { "targets.json": targets, "snapshot.json": snapshot, "timestamp.json": timestamp };
}

function namedTarget({ path, length, sha256, custom }: DirectiveEntry) {
  return [path, { length, hashes: { sha256 }, custom }] as const;
}
