/**
 * A longer life for the catalog: its publisher signs the same content again with a later expiry, file by
 * file one version further. The coordinator takes it only if nothing else has changed.
 */
import type { MetadataFiles } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Renewal, RenewalInput } from "../../protocol/operator-api.ts";
import { guardFile, guardRoot, type GuardedFile } from "../../protocol/trust/guard.ts";
import { isSameJson, type Delegation, type Signed } from "../../protocol/trust/metadata.ts";
import { isSignedBy } from "../../protocol/trust/signatures.ts";
import { newestRootText } from "./catalog.ts";
import { delegationOf, fileText, isDue, signCatalogHead, versionsIn } from "./catalog-head.ts";
import { EXPIRY_MS } from "./expiry.ts";
import type { OnlineKeys } from "./fleet-keys.ts";
import { fleetIdOf } from "./init-trust.ts";

const WHAT = "the renewed catalog";

/** What a publisher needs to sign the whole catalog again. */
export function renewalView(catalog: MetadataFiles): Renewal {
  return {
    fleet: fleetIdOf(fileText(catalog, "1.root.json")),
    root: newestRootText(catalog),
    targets: fileText(catalog, "targets.json"),
    bins: binsIn(catalog),
    expiresAt: new Date(offlineExpiryMs(catalog)).toISOString(),
  };
}

/** When the first of the offline-signed files expires: endpoints then take no directive any more. */
export function offlineExpiryMs(catalog: MetadataFiles): number {
  const names = ["targets.json", ...Object.keys(binsIn(catalog))];
  return Math.min(...names.map((name) => guarded(name, fileText(catalog, name)).expiresMs));
}

/**
 * The catalog with the renewed files. Throws PUBLISH_CONFLICT where somebody published in between,
 * PUBLISH_REFUSED or TRUST_METADATA; then nothing has changed.
 */
export function applyRenewal(
  catalog: MetadataFiles,
  { targets, bins }: RenewalInput,
  online: OnlineKeys,
  nowMs: number,
): MetadataFiles {
  if (!isSameJson(Object.keys(bins).sort(), Object.keys(binsIn(catalog)).sort())) {
    throw new DeployError("PUBLISH_CONFLICT", { what: WHAT });
  }
  const delegation = delegationOf(catalog);
  const { keys, succinct_roles: role } = delegation.delegations;
  refuseSigner(catalog, targets);
  const renewed = { "targets.json": targets, ...bins };
  const versions: Record<string, number> = { ...versionsIn(catalog) };
  for (const [name, text] of Object.entries(renewed)) {
    const next = guarded(name, text);
    if (next.kind === "bin" && !isSignedBy(next.file, role, keys)) {
      throw refused(`${name} is not signed by a publisher of this fleet`);
    }
    refuseOtherChange(next, guarded(name, fileText(catalog, name)), nowMs);
    versions[name] = next.version;
  }
  return signCatalogHead({ ...catalog, ...renewed }, versions, online, nowMs);
}

function binsIn(catalog: MetadataFiles): MetadataFiles {
  return Object.fromEntries(Object.entries(catalog).filter(([name]) => name.startsWith("bin-")));
}

function refuseSigner(catalog: MetadataFiles, text: string): void {
  const { keys, roles } = guardRoot(newestRootText(catalog), "catalog").signed;
  const next = guarded("targets.json", text);
  if (next.kind === "delegation" && isSignedBy(next.file, roles.targets, keys)) return;
  throw refused("targets.json is not signed under the fleet's root");
}

function refuseOtherChange(next: GuardedFile, stored: GuardedFile, nowMs: number): void {
  if (next.version !== stored.version + 1)
    throw new DeployError("PUBLISH_CONFLICT", { what: WHAT });
  if (!isSameJson(contentOf(next.file), contentOf(stored.file))) {
    throw refused(`${next.name} has other content than before`);
  }
  const expires = new Date(next.expiresMs).toISOString();
  if (isDue(expires, EXPIRY_MS.targets, nowMs)) throw refused(`${next.name} expires soon`);
}

function contentOf({ signed }: Signed<GuardedFile["file"]["signed"] | Delegation>): unknown {
  const { version: _version, expires: _expires, ...content } = signed;
  return content;
}

function guarded(name: string, text: string): GuardedFile {
  return guardFile(name, text, { repository: "catalog", heldVersion: Number.MAX_SAFE_INTEGER });
}

function refused(problem: string): DeployError {
  return new DeployError("PUBLISH_REFUSED", { what: WHAT, problem });
}
