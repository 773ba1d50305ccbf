/** `package activate` and `package list`. */
import { packageRefText, parsePackageRef } from "../../protocol/ids.ts";
import { rehearse } from "./dry-run.ts";
import type { ChangingOptions } from "./group.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { bytesText } from "./quantities.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export async function activatePackage(
  refText: string,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  const ref = parsePackageRef(refText);
  await using client = await openClient(options, session);
  if (options.dryRun === true) {
    const call = { method: "POST", path: "/v1/packages/activate", json: ref } as const;
    return await rehearse(client, call, options, session);
  }
  await client.activatePackage(ref);
  const shown = packageRefText(ref);
  printResult(
    session.terminal,
    options.json,
    { ...ref, isActive: true },
    `${shown} is active\nnext: branchline deploy ${shown} --to all --wait\n`,
  );
}

export async function listPackages(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const { packages } = await client.status();
  const rows = packages.map((each) => [
    packageRefText(each),
    each.kind,
    String(each.level),
    each.isActive ? "yes" : "no",
    bytesText(each.fileBytes),
    bytesText(each.wireBytes),
    String(each.fragmentCount),
    each.createdAt,
  ]);
  const headings = [
    "PACKAGE",
    "ACTION",
    "LEVEL",
    "ACTIVE",
    "FILES",
    "WIRE",
    "FRAGMENTS",
    "CREATED",
  ];
  const text =
    rows.length === 0
      ? "no package yet\nnext: branchline package publish --help\n"
      : tableText(headings, rows);
  printResult(session.terminal, options.json, { packages }, text);
}
