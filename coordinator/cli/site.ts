/** `site create` and `site list`. */
import { parseSiteName } from "../../protocol/ids.ts";
import type { Criterion } from "../../protocol/location.ts";
import { DeployError } from "../../protocol/errors.ts";
import { rehearse } from "./dry-run.ts";
import type { ChangingOptions } from "./group.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { countText } from "./quantities.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export async function createSite(
  nameText: string,
  criteria: readonly Criterion[],
  options: ChangingOptions & { readonly tenant?: string },
  session: Session,
): Promise<void> {
  const name = parseSiteName(nameText);
  if (criteria.length === 0) {
    throw new DeployError("CLI_USAGE", {
      problem: `site "${name}" has no criterion, so no endpoint could be placed there`,
      remedy: "Give at least one of --subnet, --public-address, --host-name and --gateway.",
    });
  }
  await using client = await openClient(options, session);
  const tenant = options.tenant === undefined ? {} : { tenant: options.tenant };
  const input = { name, criteria: [...criteria], ...tenant };
  if (options.dryRun === true) {
    const call = { method: "POST", path: "/v1/sites", json: input } as const;
    return await rehearse(client, call, options, session);
  }
  await client.createSite(input);
  const text =
    `site ${name} is set, with ${countText(criteria.length, "criterion", "criteria")}\n` +
    `next: branchline token create --site ${name}\n`;
  printResult(session.terminal, options.json, { name, criteria }, text);
}

export async function listSites(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const sites = await client.listSites();
  const rows = sites.map((site) => [site.name, site.criteria.map(criterionText).join(", ")]);
  const text =
    rows.length === 0
      ? "no site yet\nnext: branchline site create NAME --subnet CIDR\n"
      : tableText(["NAME", "CRITERIA, THE FIRST MATCH DECIDES"], rows);
  printResult(session.terminal, options.json, { sites }, text);
}

function criterionText(criterion: Criterion): string {
  switch (criterion.kind) {
    case "subnet":
      return `subnet ${criterion.cidr}`;
    case "publicAddress":
      return `public address ${criterion.cidr}`;
    case "hostName":
      return `host name ${criterion.pattern}`;
    case "gateway":
      return `gateway ${criterion.address}`;
    default:
      return criterion satisfies never;
  }
}
