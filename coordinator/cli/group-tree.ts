/** `endpoint-group`, `package-group` and the assignments in the command tree. */
import type { Command } from "commander";
import type { ChangingOptions, EndpointGroupOptions } from "./group.ts";
import type { OperatorOptions } from "./operator.ts";
import { addScheduleOptions, type ScheduleOptions } from "./schedule-options.ts";
import type { Session } from "./terminal.ts";
import { changingVerb, group, listed, operatorVerb } from "./verb.ts";

export function addGroupCommands(program: Command, session: Session): void {
  addEndpointGroupCommands(program, session);
  addPackageGroupCommands(program, session);
  addAssignmentCommands(program, session);
}

function addEndpointGroupCommands(program: Command, session: Session): void {
  const groups = group(program, "endpoint-group", "sets of endpoints, listed or by a query");
  changingVerb(groups, "set <name>", "make a group, or make it anew", [
    "branchline endpoint-group set counters --endpoint berlin-01 --endpoint berlin-02",
    `branchline endpoint-group set laptops --query 'os = win32 and not isServer'`,
    `branchline endpoint-group set acme-all --tenant acme --query 'name = "*"' --dry-run`,
  ])
    .option("--endpoint <name>", "a member; repeat it for each", listed)
    .option("--query <text>", "members are all that it admits")
    .option("--tenant <name>", "the customer whose endpoints it holds (default: default)")
    .action(async (name: string, options: EndpointGroupOptions) =>
      (await import("./group.ts")).setEndpointGroup(name, options, session),
    );
  for (const word of ["add", "remove"] as const) {
    const summary = word === "add" ? "put endpoints into a listed group" : "take endpoints out";
    changingVerb(groups, `${word} <name> <endpoint...>`, summary, [
      `branchline endpoint-group ${word} counters berlin-03`,
      `branchline endpoint-group ${word} counters berlin-03 berlin-04 --json`,
      `branchline endpoint-group ${word} counters berlin-03 --dry-run`,
    ]).action(async (name: string, endpoints: string[], options: ChangingOptions) =>
      (await import("./group.ts")).changeMembers(name, endpoints, word === "add", options, session),
    );
  }
  operatorVerb(groups, "list", "list the groups with their sizes", [
    "branchline endpoint-group list",
    "branchline endpoint-group list --json",
    "branchline endpoint-group list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./group.ts")).listEndpointGroups(options, session),
  );
  operatorVerb(groups, "show <name>", "show who is in a group right now", [
    "branchline endpoint-group show laptops",
    "branchline endpoint-group show laptops --json",
    "branchline endpoint-group show laptops --context work",
  ]).action(async (name: string, options: OperatorOptions) =>
    (await import("./group.ts")).showEndpointGroup(name, options, session),
  );
  changingVerb(groups, "delete <name>", "delete a group that nothing uses", [
    "branchline endpoint-group delete laptops",
    "branchline endpoint-group delete laptops --dry-run",
    "branchline endpoint-group delete laptops --json",
  ]).action(async (name: string, options: ChangingOptions) =>
    (await import("./group.ts")).removeObject("endpointGroup", name, options, session),
  );
}

function addPackageGroupCommands(program: Command, session: Session): void {
  const groups = group(program, "package-group", "ordered sets of packages with settings");
  changingVerb(groups, "set <name> <package...>", "make a group, or make it anew", [
    "branchline package-group set office acme/app@1.2.3 acme/fonts@7",
    "branchline package-group set base acme/agent,ensure=latest acme/old,ensure=absent",
    "branchline package-group set field acme/app@1.2.3,attempt-limit=5,pinned --dry-run",
  ]).action(async (name: string, packages: string[], options: ChangingOptions) =>
    (await import("./group.ts")).setPackageGroup(name, packages, options, session),
  );
  operatorVerb(groups, "list", "list the groups with their packages", [
    "branchline package-group list",
    "branchline package-group list --json",
    "branchline package-group list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./group.ts")).listPackageGroups(options, session),
  );
  changingVerb(groups, "delete <name>", "delete a group that nothing uses", [
    "branchline package-group delete office",
    "branchline package-group delete office --dry-run",
    "branchline package-group delete office --json",
  ]).action(async (name: string, options: ChangingOptions) =>
    (await import("./group.ts")).removeObject("packageGroup", name, options, session),
  );
}

function addAssignmentCommands(program: Command, session: Session): void {
  addScheduleOptions(
    changingVerb(
      program,
      "assign <package-group> <endpoint-group>",
      "wish for all packages on all endpoints",
      [
        "branchline assign office counters",
        "branchline assign office counters --time-frames '18:00-23:59' --attempt-limit 5",
        "branchline assign office counters --dry-run --json",
      ],
    ),
  ).action(
    async (packages: string, endpoints: string, options: ChangingOptions & ScheduleOptions) =>
      (await import("./group.ts")).assign(packages, endpoints, options, session),
  );
  changingVerb(
    program,
    "unassign <package-group> <endpoint-group>",
    "take a wish back; nothing is uninstalled",
    [
      "branchline unassign office counters",
      "branchline unassign office counters --dry-run",
      "branchline unassign office counters --json",
    ],
  ).action(async (packages: string, endpoints: string, options: ChangingOptions) =>
    (await import("./group.ts")).unassign(packages, endpoints, options, session),
  );
  operatorVerb(program, "assignments", "list them, or show them as a matrix", [
    "branchline assignments",
    "branchline assignments --matrix",
    "branchline assignments --json",
  ])
    .option("--matrix", "package groups in rows, endpoint groups in columns")
    .action(async (options: OperatorOptions & { readonly matrix?: boolean }) =>
      (await import("./group.ts")).listAssignments(options, session),
    );
}
