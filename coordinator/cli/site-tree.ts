/** `site` in the command tree. */
import type { Command } from "commander";
import type { Criterion } from "../../protocol/location.ts";
import { criterionOf } from "./arguments.ts";
import type { ChangingOptions } from "./group.ts";
import type { OperatorOptions } from "./operator.ts";
import type { Session } from "./terminal.ts";
import { parseHours, parseRate } from "./rates.ts";
import type { LimitOptions } from "./site-limit.ts";
import { changingVerb, group, operatorVerb } from "./verb.ts";

export function addSiteCommands(program: Command, session: Session): void {
  const site = group(program, "site", "places, and how endpoints are recognised there");
  // The order of the flags is the order of the criteria, across kinds: the first match decides (MYP-8).
  const criteria: Criterion[] = [];
  const typed = (kind: Criterion["kind"]) => (text: string) => {
    criteria.push(criterionOf(kind, text));
    return criteria;
  };
  changingVerb(site, "create <name>", "make a site; criteria keep their order", [
    "branchline site create berlin --subnet 10.1.0.0/24",
    "branchline site create paris --subnet 10.2.0.0/24 --subnet 2001:db8:2::/48",
    "branchline site create lab --gateway 10.9.0.1 --host-name 'lab-*' --public-address 203.0.113.7",
  ])
    .option("--subnet <cidr>", "an address of the endpoint is in this network", typed("subnet"))
    .option(
      "--public-address <cidr>",
      "the coordinator sees it come from there",
      typed("publicAddress"),
    )
    .option("--host-name <pattern>", "its host name fits, * for any text", typed("hostName"))
    .option("--gateway <ip>", "this is its default gateway", typed("gateway"))
    .option("--tenant <name>", "the customer it belongs to (default: default)")
    .action(async (name: string, options: ChangingOptions) =>
      (await import("./site.ts")).createSite(name, criteria, options, session),
    );
  operatorVerb(site, "list", "list the sites with their criteria", [
    "branchline site list",
    "branchline site list --json",
    "branchline site list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./site.ts")).listSites(options, session),
  );
  changingVerb(site, "limit <name>", "say what packages may use of a site's line", [
    "branchline site limit berlin --down 8Mbit --hours 'MON 18:00-23:59,SAT 0:00-23:59'",
    "branchline site limit berlin --background --peer-upload 100Mbit",
    "branchline site limit berlin --clear --dry-run --json",
  ])
    .option(
      "--down <rate>",
      "most that packages use of the line into the site",
      parseRate("--down"),
    )
    .option("--hours <frames>", "when transfers over the line may begin", parseHours)
    .option("--zone <name>", "time zone of the hours (default: the coordinator's)")
    .option(
      "--peer-upload <rate>",
      "most that one endpoint sends to its neighbours",
      parseRate("--peer-upload"),
    )
    .option("--background", "packages give way to all other traffic on the line")
    .option("--foreground", "packages take from the line what they get (default)")
    .option("--clear", "begin with no limits; without it the other limits stay")
    .action(async (name: string, options: LimitOptions) =>
      (await import("./site-limit.ts")).limitSite(name, options, session),
    );
}
