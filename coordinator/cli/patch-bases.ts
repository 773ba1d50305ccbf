/**
 * Which older versions a package gets patches from: those named by `--delta-from`, else the last two that are
 * active, as long as making the patches takes minutes and not hours.
 */
import { DeployError } from "../../protocol/errors.ts";
import {
  packageRefText,
  parsePackageVersion,
  type PackageRef,
  type PackageVersion,
} from "../../protocol/ids.ts";
import { DELTA_SETS_MAX_COUNT } from "../../protocol/limits.ts";
import type { PackageAnswer } from "../../protocol/operator-api.ts";
import type { OlderVersion } from "../publish/older-version.ts";
import { publishedVersion } from "../publish/published-version.ts";
import type { ApiClient } from "./api-client.ts";

/** Who is two versions behind is common after a holiday; three is rare. */
const AUTOMATIC_COUNT = 2;
/** A larger old version is patched on demand only: level 19 takes about a second per MB. */
const AUTOMATIC_MAX_BYTES = 1024 ** 3;

export interface PatchChoice {
  /** Versions by name; undefined: the last two active ones. */
  readonly deltaFrom?: readonly string[];
  /** False: `--no-delta`. */
  readonly delta?: boolean;
}

/** The newest first. Throws NOT_FOUND where a named version is not published. */
export async function patchBases(
  ref: PackageRef,
  choice: PatchChoice,
  client: Pick<ApiClient, "published" | "publishedBytes">,
  signal: AbortSignal,
): Promise<readonly OlderVersion[]> {
  if (choice.delta === false) return [];
  const published = await client.published(ref.name);
  const chosen =
    choice.deltaFrom === undefined
      ? automatic(ref, published)
      : choice.deltaFrom.map((text) => named(ref, parsePackageVersion(text), published));
  const bases: OlderVersion[] = [];
  for (const { manifest } of chosen.slice(0, DELTA_SETS_MAX_COUNT)) {
    const base = await publishedVersion(
      manifest,
      {
        manifest: (digest, within) => client.publishedBytes("manifests", digest, within),
        fragment: (digest, within) => client.publishedBytes("fragments", digest, within),
      },
      signal,
    );
    if (base !== undefined) bases.push(base);
  }
  return bases;
}

function named(
  ref: PackageRef,
  version: PackageVersion,
  published: readonly PackageAnswer[],
): PackageAnswer {
  const found = published.find((known) => known.version === version);
  if (found !== undefined && version !== ref.version) return found;
  const what = `an older version ${packageRefText({ name: ref.name, version })} to make patches from`;
  throw new DeployError("NOT_FOUND", { what });
}

// Published again, a version must come out the same: only what is older than itself counts.
function automatic(ref: PackageRef, published: readonly PackageAnswer[]): readonly PackageAnswer[] {
  const self = published.find(({ version }) => version === ref.version);
  return published
    .filter(({ version, isActive }) => isActive && version !== ref.version)
    .filter(({ createdAt }) => self === undefined || createdAt < self.createdAt)
    .filter(({ fileBytes }) => fileBytes > 0 && fileBytes <= AUTOMATIC_MAX_BYTES)
    .toSorted((one, other) => (one.createdAt < other.createdAt ? 1 : -1))
    .slice(0, AUTOMATIC_COUNT);
}
