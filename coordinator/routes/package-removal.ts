/**
 * Deleting a version that nobody needs any more: refused while something uses it, then its record, its
 * manifest and every fragment that no other package shares go (OCO-39). Copies at sites go with it, because
 * nothing names them.
 */
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, type Digest } from "../../protocol/ids.ts";
import type { PackageDeleteAnswer, PackageDeleteInput } from "../../protocol/page-api.ts";
import { readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import { plainVersion } from "../../protocol/version-order.ts";
import { readContent } from "../store/package-content.ts";
import { setRecord } from "../store/records.ts";
import { TABLES, type PackageRecord } from "../store/tables.ts";
import { ownersOf } from "./containers.ts";
import { notFound } from "./intent-pen.ts";
import type { Parts } from "./parts.ts";

export async function deletePackage(
  parts: Parts,
  input: PackageDeleteInput,
): Promise<PackageDeleteAnswer> {
  return parts.contentTurns(async () => deleteInTurn(parts, input));
}

// A package that is published meanwhile would find its fragments here, and lose them before it has a record.
async function deleteInTurn(parts: Parts, input: PackageDeleteInput): Promise<PackageDeleteAnswer> {
  const { records, fragments, manifests } = parts;
  const isDryRun = input.isDryRun === true;
  const text = packageRefText(input);
  const record = records.get(TABLES.packages, text);
  if (record === undefined) throw notFound(`package ${text}`);
  const owned = await ownFragments(parts, record);
  await records.change(() => {
    if (input.isForced !== true) refuseUsed(parts, record);
    return {
      changes: isDryRun ? [] : [setRecord(TABLES.packages, text, undefined)],
      result: undefined,
    };
  });
  const sizes = await Promise.all(owned.map(async (digest) => (await fragments.size(digest)) ?? 0));
  const freedBytes = sizes.reduce((sum, size) => sum + size, 0);
  if (!isDryRun) {
    for (const digest of owned) await fragments.delete(digest);
    await manifests.delete(record.manifest);
  }
  return { isDryRun, fragmentCount: owned.length, freedBytes };
}

function refuseUsed(parts: Parts, record: PackageRecord): void {
  const users = usersOf(parts, record);
  if (users.length > 0) {
    const shown = packageRefText(record);
    throw new DeployError("PACKAGE_IN_USE", { package: shown, users: users.join(", ") });
  }
}

function usersOf(parts: Parts, record: PackageRecord): readonly string[] {
  const { records } = parts;
  const { name, version } = record;
  const isThis = (one: { readonly name: string; readonly version?: string }): boolean =>
    one.name === name && one.version !== undefined && isMeant(one.version, version);
  const owners = ownersOf(parts, packageRefText(record)).length;
  const groups = records.all(TABLES.packageGroups).filter(({ entries }) => entries.some(isThis));
  const jobs = records.all(TABLES.containerJobs).filter(isThis);
  const deployments = records.all(TABLES.deployments).filter(isThis);
  const others = records.all(TABLES.packages).filter((one) => one.name === name && one !== record);
  const primaries = records
    .all(TABLES.packages)
    .filter(({ rules }) => rules?.dependencies?.some((edge) => edge.name === name) === true);
  return [
    ...(owners > 0 ? [`it is installed on ${owners} endpoints`] : []),
    ...groups.map((group) => `package group ${group.name}`),
    ...new Set(jobs.map(({ container }) => `job container ${container}`)),
    ...deployments.map(({ id }) => `deployment ${id}`),
    // Another version may still serve them.
    ...(others.length === 0 ? primaries.map((one) => `dependency of ${packageRefText(one)}`) : []),
  ];
}

/** An entry without a revision means all revisions of its version. */
function isMeant(written: string, version: string): boolean {
  return written === version || written === plainVersion(version);
}

async function ownFragments(parts: Parts, record: PackageRecord): Promise<readonly Digest[]> {
  const own = new Set(await digestsOf(parts, record));
  for (const other of parts.records.all(TABLES.packages)) {
    if (other === record || own.size === 0) continue;
    for (const digest of await digestsOf(parts, other)) own.delete(digest);
  }
  return [...own];
}

async function digestsOf(
  { fragments, manifests }: Parts,
  { manifest, hasContent }: PackageRecord,
): Promise<readonly Digest[]> {
  if (!hasContent) return [];
  const bytes = await manifests.bytes(manifest);
  if (bytes === undefined) return [];
  const parsed = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
  return (await readContent(fragments, parsed)).digests;
}
