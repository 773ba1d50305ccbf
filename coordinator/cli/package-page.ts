/** `package show`, `tree`, `deactivate`, `replace`, `delete`. */
import { parseChangesAnswer } from "../../protocol/intent-api.ts";
import {
  parsePackageDeleteAnswer,
  parsePackageDetail,
  parsePackageTree,
  type PackageDetail,
  type PackageTree,
} from "../../protocol/page-api.ts";
import { packageRefText, parsePackageRef, parsePackageVersion } from "../../protocol/ids.ts";
import type { Parse } from "../../protocol/json.ts";
import { parsePackageAnswer } from "../../protocol/operator-api.ts";
import type { Action } from "../../protocol/package-action.ts";
import { dryRunField, printChanges } from "./change-text.ts";
import type { ChangingOptions } from "./group.ts";
import { rehearse } from "./dry-run.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { bytesText, countText } from "./quantities.ts";
import { printResult, type Session } from "./terminal.ts";

export const showPackage = packagePage("show", parsePackageDetail, detailText);
export const showTree = packagePage("tree", parsePackageTree, treeText);

/** A verb that asks for one page of one package and prints it. */
function packagePage<T>(page: string, parse: Parse<T>, textOf: (answer: T) => string) {
  return async (refText: string, options: OperatorOptions, session: Session): Promise<void> => {
    const ref = packageRefText(parsePackageRef(refText));
    await using client = await openClient(options, session);
    const path = `/v1/packages/${page}?package=${encodeURIComponent(ref)}`;
    const answer = await client.ask(path, parse);
    printResult(session.terminal, options.json, answer, textOf(answer));
  };
}

export async function deactivate(
  refText: string,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  const ref = parsePackageRef(refText);
  const path = "/v1/packages/deactivate";
  await using client = await openClient(options, session);
  if (options.dryRun === true) {
    return await rehearse(client, { method: "POST", path, json: ref }, options, session);
  }
  const answer = await client.tell("POST", path, ref, parsePackageAnswer);
  const shown = packageRefText(ref);
  const text = `${shown} is not active any more: nothing of it is handed out\n`;
  printResult(session.terminal, options.json, answer, text);
}

export interface ReplaceOptions extends ChangingOptions {
  readonly packageGroup?: readonly string[];
}

export async function replacePackage(
  refText: string,
  newVersion: string,
  options: ReplaceOptions,
  session: Session,
): Promise<void> {
  const { name, version } = parsePackageRef(refText);
  const { packageGroup } = options;
  const body = {
    name,
    from: version,
    to: parsePackageVersion(newVersion),
    ...(packageGroup === undefined ? {} : { packageGroups: packageGroup }),
    ...dryRunField(options),
  };
  await using client = await openClient(options, session);
  const answer = await client.tell("POST", "/v1/packages/replace", body, parseChangesAnswer);
  printChanges(answer, options, session);
}

export interface DeleteOptions extends ChangingOptions {
  readonly force?: boolean;
}

export async function deletePackage(
  refText: string,
  options: DeleteOptions,
  session: Session,
): Promise<void> {
  const ref = parsePackageRef(refText);
  const body = {
    ...ref,
    ...(options.force === true ? { isForced: true } : {}),
    ...dryRunField(options),
  };
  await using client = await openClient(options, session);
  const answer = await client.tell("POST", "/v1/packages/delete", body, parsePackageDeleteAnswer);
  const content = `${countText(answer.fragmentCount, "fragment")}, ${bytesText(answer.freedBytes)}`;
  const shown = packageRefText(ref);
  const text = answer.isDryRun
    ? `${shown} would be deleted with ${content}; nothing was done\n`
    : `${shown} is deleted; ${content} are free again\n`;
  printResult(session.terminal, options.json, answer, text);
}

export function treeText({ package: root, depth, edges }: PackageTree): string {
  if (edges.length === 0) return `${root}\n  dependents  None\n`;
  const lines = branchLines(root, edges, new Set([root]), 1);
  return `${root}, ${depth} levels\n${lines.join("")}`;
}

function branchLines(
  primary: string,
  edges: PackageTree["edges"],
  above: ReadonlySet<string>,
  level: number,
): readonly string[] {
  return edges
    .filter((edge) => edge.primary === primary)
    .flatMap((edge) => {
      const shown = edge.resolved ?? `${edge.dependent} (no active version fits)`;
      const range = edge.versions === null ? "" : ` ${edge.versions}`;
      const line = `${"  ".repeat(level)}${edge.actionSet}: ${shown}${range}\n`;
      const isCircle = edge.resolved !== null && above.has(edge.resolved);
      const below =
        edge.resolved === null || isCircle
          ? []
          : branchLines(edge.resolved, edges, new Set([...above, edge.resolved]), level + 1);
      return [isCircle ? line.replace("\n", " (circle)\n") : line, ...below];
    });
}

function detailText(detail: PackageDetail): string {
  const { action, rules, dependents, primaries, installedOn, fragmentCount, wireBytes } = detail;
  const tree = `branchline package tree ${packageRefText(detail)}`;
  const dependentsText =
    dependents.length === 0 ? "None" : `${dependents.join(", ")} (see \`${tree}\`)`;
  return `${packageRefText(detail)}, ${detail.isActive ? "active" : "not active"}
  manifest    ${detail.manifest}
  level       ${detail.level}
  action      ${actionText(action)}
  content     ${countText(fragmentCount, "fragment")}, ${bytesText(wireBytes)} on the wire
  dependents  ${dependentsText}
  needed by   ${primaries.join(", ") || "None"}
  installed   on ${countText(installedOn.length, "endpoint")}
  rules       ${JSON.stringify(rules)}
`;
}

function actionText(action: Action): string {
  switch (action.kind) {
    case "launch":
      return `launch ${[action.program, ...action.args].join(" ")}`;
    case "execute":
      return `execute ${action.command.join(" ")}`;
    case "store":
      return `store in ${action.path}`;
    default:
      return action satisfies never;
  }
}
