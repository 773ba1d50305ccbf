/** Package rules whose texts are checked before anybody signs or stores them. */
import { DeployError } from "../../../protocol/errors.ts";
import type { PackageName } from "../../../protocol/ids.ts";
import { parseInventoryQuery } from "../../../protocol/inventory-query.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import { parseVersionRange } from "../../../protocol/version-order.ts";

/** Throws INPUT_INVALID. */
export function checkRules(name: PackageName, rules: PackageRules): void {
  const { dependencies = [], requirements = {}, detection = [], supersedes = [] } = rules;
  const ranges = [
    ...dependencies.map(({ versions }) => versions),
    ...supersedes.map(({ versions }) => versions),
    ...detection.map((rule) => (rule.kind === "software" ? rule.versions : undefined)),
    requirements.osVersion,
  ];
  for (const range of ranges) if (range !== undefined) parseVersionRange(range);
  if (requirements.query !== undefined) parseInventoryQuery(requirements.query);
  const others = [...dependencies, ...supersedes].map((one) => one.name);
  if ([...others, ...(rules.conflicts ?? [])].includes(name)) {
    const expected = "dependencies, supersedes and conflicts with other packages only";
    throw new DeployError("INPUT_INVALID", { what: `the rules of ${name}`, expected });
  }
}
