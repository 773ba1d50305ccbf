/**
 * Names and revisions of jobs. A job id is stable for what is done with one package version on one endpoint;
 * a revision names the desired state behind it, so that its change starts the attempts anew (SE-23, D7).
 */
import { hash } from "node:crypto";
import { packageRefText, type EndpointId, type PackageRef } from "../../../protocol/ids.ts";
import type { Operation } from "../../../protocol/intent.ts";
import type { Intent, IntentSource, PlanPackage } from "./plan-model.ts";

/** What is done for an instruction; `perform` is an install. */
export type JobKind = "perform" | "uninstall" | "launch" | "replicate" | "cache";

/** `container/c1`, `rule/nightly`, `wishlist/office x berlin`. */
export function fromText({ source, name }: Pick<Intent, "source" | "name">): string {
  return `${source}/${name}`;
}

/** Runs once; everything else is a desired state that is kept up. */
export function isStaticSource(source: IntentSource): boolean {
  return source === "container" || source === "deployment";
}

export function jobKindOf(operation: Operation): JobKind {
  return operation === "install" ? "perform" : operation;
}

/** `own`: sets the job of one container apart from what others wish of the same package. */
export function jobIdOf(
  endpoint: EndpointId,
  ref: PackageRef,
  kind: JobKind,
  own?: Pick<Intent, "source" | "name" | "createdMs">,
): string {
  const shared = [endpoint, packageRefText(ref), kind];
  const parts = own === undefined ? shared : [...shared, fromText(own), own.createdMs];
  return `${kind}-${shortHash(parts)}`;
}

/** `extras`: what sets this desired state apart from the plain one; nothing, where there is nothing. */
export function revisionOf(
  known: PlanPackage,
  kind: JobKind,
  extras: readonly (readonly [string, number | string])[] = [],
): string {
  const plain = [packageRefText(known), known.manifest, kind];
  return shortHash(extras.length === 0 ? plain : [...plain, extras]);
}

/** Of names, digests and numbers: for these JSON is canonical as it is. */
export function shortHash(value: readonly unknown[]): string {
  return hash("sha256", JSON.stringify(value), "hex").slice(0, 16);
}
